"""What each user of the database may do, command by command. That the roles suffice is what every other test proves:
all stacks run under them."""

import pymongo
import pymongo.errors
import pytest
from documents import ROLES
from waiting import until

UNAUTHORIZED = 13
NO_SUCH_COMMAND = 59  # not every server has all of them
W, O = "worker", "operator"  # noqa: E741

# name: (database or None for ours, command, who may)
COMMANDS = {
    "find": (None, {"find": "notices"}, {W, O}),
    "count": (None, {"count": "notices"}, {W, O}),
    "find generations": (None, {"find": "generations"}, {W, O}),
    "insert": (None, {"insert": "notices", "documents": [{"_id": "x"}]}, {W}),
    "insert generations": (None, {"insert": "generations", "documents": [{"_id": "y"}]}, {W, O}),
    "insert attempts": (None, {"insert": "attempts", "documents": [{"_id": "y"}]}, {W, O}),
    "update": (None, {"update": "notices", "updates": [{"q": {"_id": "x"}, "u": {"$set": {"a": 1}}}]}, {W}),
    "update outcomes": (None, {"update": "outcomes", "updates": [{"q": {"_id": "x"}, "u": {"$set": {"a": 1}}}]}, {W}),
    "remove": (None, {"delete": "notices", "deletes": [{"q": {}, "limit": 0}]}, set()),
    "remove outcomes": (None, {"delete": "outcomes", "deletes": [{"q": {}, "limit": 0}]}, set()),
    "find and remove": (None, {"findAndModify": "notices", "query": {}, "remove": True}, set()),
    "create": (None, {"create": "notices_2"}, {W, O}),
    "create an index": (None, {"createIndexes": "notices", "indexes": [{"key": {"zz": 1}, "name": "zz"}]}, {W, O}),
    "list indexes": (None, {"listIndexes": "notices"}, {W, O}),
    "drop an index": (None, {"dropIndexes": "notices", "index": "zz"}, set()),
    "drop": (None, {"drop": "posts"}, set()),
    "drop the database": (None, {"dropDatabase": 1}, set()),
    "change a collection": (None, {"collMod": "notices", "validator": {}}, set()),
    "copy away": (None, {"aggregate": "notices", "pipeline": [{"$out": {"db": "elsewhere", "coll": "x"}}], "cursor": {}}, set()),
    "read elsewhere": ("elsewhere", {"find": "notices"}, set()),
    "write elsewhere": ("elsewhere", {"insert": "notices", "documents": [{}]}, set()),
    "read the users": ("admin", {"find": "system.users"}, set()),
    "read the oplog": ("local", {"find": "oplog.rs"}, set()),
    "make a user": ("admin", {"createUser": "eve", "pwd": "x", "roles": ["root"]}, set()),
    "take a role": ("admin", {"grantRolesToUser": "worker", "roles": ["root"]}, set()),
    "widen a role": ("admin", {"updateRole": "yizhanWorker", "privileges": [], "roles": ["root"]}, set()),
    "shut down": ("admin", {"shutdown": 1}, set()),
    "rename": ("admin", {"renameCollection": "yizhan_test.notices", "to": "yizhan_test.n2"}, set()),
}


@pytest.fixture(scope="module")
def clients(stack):
    made = {user: pymongo.MongoClient(stack.database_users.uri(user)) for user in (W, O)}
    yield made
    for client in made.values():
        client.close()


@pytest.mark.parametrize("user", [W, O])
@pytest.mark.parametrize("name", COMMANDS)
def test_who_may_do_what(stack, clients, user, name):
    database, command, users = COMMANDS[name]
    try:
        clients[user][database or stack.settings["mongodb_database"]].command(command)
        allowed = True
    except pymongo.errors.OperationFailure as error:
        if error.code == NO_SUCH_COMMAND:
            pytest.skip("this server has no such command; scripts/prove-mongodb asks MongoDB")
        allowed = error.code != UNAUTHORIZED
    assert allowed == (user in users)


def test_every_role_is_judged():
    assert {role["user"] for role in ROLES} == {W, O}
    known = {"find", "insert", "update", "createCollection", "createIndex", "listIndexes"}
    assert {action for role in ROLES for p in role["privileges"] for action in p["actions"]} == known


@pytest.mark.parametrize("login", [{}, {"username": "worker", "password": "wrong"}, {"username": "eve", "password": "x"}])
def test_nobody_reads_without_the_right_password(stack, login):
    with pymongo.MongoClient("127.0.0.1", stack.database_port, directConnection=True, **login) as client:
        with pytest.raises(pymongo.errors.OperationFailure):
            client[stack.settings["mongodb_database"]].notices.find_one()


def test_a_worker_that_is_refused_says_so_and_keeps_the_password_to_itself(new_stack):
    stack = new_stack()
    worker = stack.workers[0]
    worker.terminate()
    secret = "wr0ng-and-secret"
    uri = stack.database_users.uri("worker").replace(stack.database_users.passwords["worker"], secret)
    stack.start_worker(worker, ready=False, mongodb_uri=uri)
    until(lambda: not worker.running or stack.admin(worker, "/readyz")[0] == 503, 30)
    told = stack.ctl("doctor", code=1, mongodb_uri=uri)
    assert "database_login" in told and secret not in told, told
    assert "uthentication" in worker.text() and secret not in worker.text()
