import pytest
from serving.desk import Desk


@pytest.fixture(scope="package")
def desk(tmp_path_factory):
    """A gateway, whose engines a project asks, too."""
    served = Desk(tmp_path_factory.mktemp("desk") / "airdesk")
    yield served
    served.stop()


@pytest.fixture(params=["project", "url"])
def where(request, desk):
    """Where a model is: in the project's folder, or at the gateway."""
    return {"project": str(desk.project.folder)} if request.param == "project" else {"url": desk.url}
