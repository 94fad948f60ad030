"""A gateway with a handbook and a desk that answers from it, and their engines."""

import handbooks
import openai
from handbooks import QUESTION
from projects import wait_until

from mainspring.monitoring import log

from .conftest import Served


class Desk(Served):
    """A gateway with its engines."""

    def __init__(self, folder, **more):
        project = handbooks.make_project(folder, **more)
        self.engines = handbooks.engines(project)
        self.engines.__enter__()
        super().__init__(project)
        self.openai = openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=20)

    def stop(self):
        self.openai.close()
        super().stop()
        self.engines.__exit__(None, None, None)

    def search(self, query=QUESTION, model="handbook", **more):
        return self.client.post(f"/models/{model}/search", json={"query": query, **more})

    def ask(self, question=QUESTION, model="desk", **more):
        return self.client.post(f"/models/{model}/ask", json={"question": question, **more})

    def chat(self, question=QUESTION, **more):
        return self.openai.chat.completions.create(
            model="desk", messages=[{"role": "user", "content": question}], **more
        )

    def logged(self, model, schema, id_):
        """The columns of the row with this prediction id, and its output, once they are on the disk."""

        def read():
            found = log.read(self.project, model, schema)
            here = found.ids == id_
            columns = {name: values[here].tolist() for name, values in found.rows.columns.items()}
            return columns, found.rows.outputs.values[here].tolist()

        wait_until(lambda: read()[1], f"a row of {model}")
        return read()
