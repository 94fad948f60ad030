"""A project's models from Python, without a gateway:

    from mainspring.use import OpenProject

    desk = OpenProject("examples/airdesk").model("desk")
    print(desk.generate("What may I take into the cabin?"))
    for text in desk.stream([{"role": "user", "content": "And a violin?"}]):
        print(text, end="")

Where a service of the project is running, its engine answers; otherwise the model is loaded into this process. All of
it can be awaited as well: `agenerate`, `astream`, `aembed`. A prompt program answers records:

    with OpenProject("office").prompt("mail") as mail:
        print(mail.answer([{"mail": "Where is my invoice?"}])[0].value)

And a collection of documents, questions:

    with OpenProject("examples/airdesk").documents("handbook") as handbook:
        for found in handbook.search("May I take a violin?", k=3).found:
            print(found.passage.source, found.quote)

project     `OpenProject`: whose models can be asked     `OpenProject`: whose models can be asked
language    language models
programs    prompt programs
documents   collections of documents
loop        the event loop on which engines live
"""

from mainspring.use.documents import Documents
from mainspring.use.language import LanguageModel
from mainspring.use.programs import PromptProgram
from mainspring.use.project import OpenProject

__all__ = ["Documents", "LanguageModel", "OpenProject", "PromptProgram"]
