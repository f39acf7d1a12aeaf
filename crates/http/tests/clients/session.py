"""A scripted session through the client that openapi-python-client generates."""

import sys

from tenon_client import AuthenticatedClient, Client
from tenon_client.api.auth import sign_in
from tenon_client.api.comments import create_comment, list_comments
from tenon_client.api.projects import create_project
from tenon_client.api.stories import create_story, get_story, update_story
from tenon_client.api.workflows import get_board, list_workflows
from tenon_client.api.workspaces import create_workspace
from tenon_client.models import (
    NewComment, NewProject, NewStory, NewWorkspace, Problem, SignIn, StoryPatch,
)

base = sys.argv[1]
session = sign_in.sync(client=Client(base_url=base), body=SignIn(login="ada", password="correct horse battery"))
me = AuthenticatedClient(base_url=base, token=session.access_token)

workspace = create_workspace.sync(client=me, body=NewWorkspace(name="Python"))
project = create_project.sync(workspace.id, client=me, body=NewProject(name="From Python"))
board = list_workflows.sync(project.id, client=me).items[0]
opened = get_board.sync(project.id, board.slug, client=me)
column = opened.statuses[0].id
story = create_story.sync(project.id, client=me, body=NewStory(title="Written in Python", status_id=column))
assert story.ref == 1, story
changed = update_story.sync(project.id, "1", client=me, body=StoryPatch(title="Changed", version=story.version))
assert changed.title == "Changed" and changed.version == 2, changed
stale = update_story.sync(project.id, "1", client=me, body=StoryPatch(title="Late", version=1))
assert isinstance(stale, Problem) and stale.code == "stale", stale
create_comment.sync(project.id, "1", client=me, body=NewComment(body="Hello"))
assert [c.body for c in list_comments.sync(project.id, "1", client=me).items] == ["Hello"]
missing = get_story.sync(project.id, "2", client=me)
assert isinstance(missing, Problem) and missing.status == 404, missing
print("python: ok")
