"""Every query answers from indexes: what each handler asks of the database is explained over 100,000 documents.

The worker reads through a tap (mongo_tap.py). Each find that it sends is explained by the database with executionStats, the
limit being what was fetched: a collection scan, a sort in memory, or far more examined than returned is a failure that
names the query. The embedded database plans and counts as MongoDB does and says so in MongoDB's own words.
"""

import concurrent.futures
import os

import bson
import plan_rows
import pytest
from authority import TYPES
from mongo_tap import MongoTap
from people import Person

SETTINGS = {"query_timeout_ms": 20000}
COUNT = int(os.environ.get("YZ_PLANS_COUNT", "100000"))  # fewer while one writes a query
BY_ID_COUNT, BATCH = 2_000, 10_000
FRAME = {"outbox", "attempts", "generations", "outcomes"}  # read by the worker by itself, too, at any time
BAD_STAGES = {"COLLSCAN", "SORT"}
LEFT_OUT = {"lsid", "$db", "$clusterTime", "$readPreference", "readConcern", "singleBatch", "batchSize"}
FETCHED_MAX = 5001  # a roster; a page is 100


def documents(make, count):
    for n in range(count):
        tenant = plan_rows.TENANTS[n % 2]
        id_, fields = make(n // 2)
        yield {"_id": f"{tenant}|{id_}", "tenant": tenant, "evt_seq": n + 1, "evt_first": n + 1, **fields}


def fill(collection, make, count):
    batch = []
    for document in documents(make, count):
        batch.append(document)
        if len(batch) == BATCH:
            collection.insert_many(batch, ordered=False)
            batch = []
    if batch:
        collection.insert_many(batch, ordered=False)


@pytest.fixture(scope="module")
def tap(stack):
    """The documents are there, and the worker reads through the tap."""
    jobs = [(name, make, COUNT) for name, make in plan_rows.ROWS.items()]
    jobs += [(name, make, BY_ID_COUNT) for name, make in plan_rows.BY_ID.items()]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda job: fill(stack.documents[job[0]], *job[1:]), jobs))
    tap = MongoTap(stack.database_port)
    worker = stack.workers[0]
    worker.terminate()
    stack.start_worker(worker, mongodb_uri=stack.database_users.uri("worker", tap.port, directConnection="true"))
    yield tap
    worker.kill()
    tap.close()


@pytest.fixture(scope="module")
def phone(stack, tap):
    roles = ("member", "secretary@g1", "admin@g1")
    return stack.phone(Person(plan_rows.TENANTS[0], plan_rows.MEMBER, plan_rows.PATH, roles))


def stages(plan):
    """Of a plan as explain tells it, from the top to the index."""
    yield plan["stage"]
    for inner in [plan.get("inputStage"), *plan.get("inputStages", ())]:
        if inner:
            yield from stages(inner)


def explained(stack, read):
    """(plan, its executionStats) of a find, up to the row at which the handler stopped."""
    find = {name: value for name, value in read.command.items() if name not in LEFT_OUT}
    if not find.get("limit"):
        find["limit"] = max(read.rows, 1)
    told = stack.documents.command({"explain": find, "verbosity": "executionStats"})
    return told["queryPlanner"]["winningPlan"], told["executionStats"]


def faults_of(stack, read):
    """What is wrong with it; nothing when it answers from an index."""
    if "find" not in read.command:
        return ["only finds are explained here"]
    plan, stats = explained(stack, read)
    found = [stage for stage in stages(plan) if stage in BAD_STAGES]
    examined = max(stats["totalKeysExamined"], stats["totalDocsExamined"])
    asked = read.command["filter"].get("_id", {})
    ids = len(asked.get("$in", ())) if isinstance(asked, dict) else 1
    if examined > 2 * max(stats["nReturned"], ids) + 20:
        found.append(f"{examined} examined for {stats['nReturned']}")
    if read.rows > FETCHED_MAX:
        found.append(f"{read.rows} rows fetched")
    return found


def test_every_query_has_a_sample():
    queries = {name for name, kind in TYPES if kind == "query"}
    assert set(plan_rows.QUERIES) == queries


@pytest.mark.parametrize("query", sorted(plan_rows.QUERIES))
def test_the_plan_of_each_find(stack, tap, phone, query):
    for request in plan_rows.QUERIES[query]:
        before = len(tap.reads)
        phone.query(query, request)
        reads = [r for r in tap.reads[before:] if r.collection not in FRAME or query.startswith("event.")]
        assert reads, f"{query} asked the database nothing"
        for read in reads:
            filled = {**plan_rows.ROWS, **plan_rows.BY_ID}
            assert read.collection in filled, f"{query} reads {read.collection}, of which plan_rows.py has no rows"
            by_id = set(read.command["filter"]) == {"_id"} and read.rows <= BY_ID_COUNT
            assert read.collection in plan_rows.ROWS or by_id, f"{query}: {read.collection} needs 100,000 rows"
            told = bson.json_util.dumps({k: v for k, v in read.command.items() if k not in LEFT_OUT}, ensure_ascii=False)
            print(f"{query}: {read.seconds * 1000:.1f} ms, {read.rows} rows: {told[:300]}")
            assert not faults_of(stack, read), f"{query}: {told[:600]}"


def test_the_documents_are_there(stack, tap):
    for name in plan_rows.ROWS:
        assert stack.documents[name].estimated_document_count() >= COUNT, name


def test_the_plans_of_the_frame(stack, tap):
    """What a worker looks for by itself: due rows of the outbox, among many that are done."""
    rows = [{"_id": f"ta|{n}-0", "tenant": "ta", "state": "done", "partition": n % 64, "due_at": plan_rows.at(n),
             "done_at": plan_rows.at(10_000_000)} for n in range(COUNT)]  # fmt: skip
    stack.documents["outbox"].insert_many(rows, ordered=False)
    seen = [r for r in tap.reads if r.collection in FRAME and "find" in r.command]
    assert any(r.collection == "outbox" for r in seen)
    for shape in {bson.json_util.dumps(sorted(r.command["filter"])): r for r in seen}.values():
        assert not faults_of(stack, shape), shape.command


def test_a_scan_and_a_sort_would_be_seen(stack, tap):
    """The judge itself: finds that no handler may send."""
    from mongo_tap import Read

    bad = {
        "COLLSCAN": {"find": "posts", "filter": {"text": "nowhere"}},
        "SORT": {"find": "posts", "filter": {"tenant": "ta", "org_path": plan_rows.PATH}, "sort": {"sequence": -1}, "limit": 20},
        "examined": {"find": "posts", "filter": {"tenant": "ta", "author": "m1"}, "limit": 20},
    }
    for word, command in bad.items():
        assert any(word in fault for fault in faults_of(stack, Read("", command, 20))), command
