"""Discussion threads: order, pages, replies, one post for each message id."""

import threading

from people import new_id


def post(text, thread="t1", message_id=None, **fields):
    return {"orgPath": "g1/c1/b1", "threadId": thread, "messageId": message_id or new_id("x"),
            "text": text, **fields}  # fmt: skip


def texts(posts):
    return [p["text"] for p in posts]


def test_a_post_is_seen_by_those_in_the_thread(town, encoding):
    reader = town.phone(town.person("m2"), encoding=encoding, subscribe=["thread.g1/c1/b1.t1"])
    accepted = town.phone(town.person("m1"), encoding=encoding).emit("thread.posted", post("好！😀"))
    push = reader.wait_push(type_="thread.post")[0]
    payload = push["payload"]
    assert payload["text"] == "好！😀" and payload["author"] == "m1"
    assert int(payload["sequence"]) == accepted["sequence"] and payload["postedAt"] == push["time"]


def test_posts_of_many_come_in_the_order_of_the_stream(town):
    reader = town.phone(town.person("r"), subscribe=["thread.g1/c1/b1.t1"])
    writers = [town.phone(town.person(f"m{n}")) for n in range(5)]
    accepted = []

    def write(writer):
        for n in range(40):
            accepted.append(writer.emit("thread.posted", post(f"{n}"))["sequence"])

    threads = [threading.Thread(target=write, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pushed = [int(p["payload"]["sequence"]) for p in reader.wait_push(200, 30, type_="thread.post")]
    assert pushed == sorted(accepted)


def test_pages_forward_and_back(town, encoding):
    phone = town.phone(town.person("m1"), encoding=encoding)
    sequences = [phone.emit("thread.posted", post(f"p{n}"))["sequence"] for n in range(10)]
    asked = {"orgPath": "g1/c1/b1", "threadId": "t1"}
    newest = phone.query("thread.page", {**asked, "limit": 3}, sequences[-1])
    assert texts(newest["posts"]) == ["p7", "p8", "p9"] and newest["more"]
    back = phone.query("thread.page", {**asked, "limit": 4, "before": str(sequences[7])})
    assert texts(back["posts"]) == ["p3", "p4", "p5", "p6"] and back["more"]
    first = phone.query("thread.page", {**asked, "before": str(sequences[3])})
    assert texts(first["posts"]) == ["p0", "p1", "p2"] and not first.get("more")
    forth = phone.query("thread.page", {**asked, "after": str(sequences[2]), "limit": 3})
    assert texts(forth["posts"]) == ["p3", "p4", "p5"] and forth["more"]
    end = phone.query("thread.page", {**asked, "after": str(sequences[-1])})
    assert not end.get("posts") and not end.get("more")
    none = phone.query("thread.page", {**asked, "threadId": "never"})
    assert not none.get("posts") and not none.get("more")


def test_a_message_id_is_posted_once(town):
    phone = town.phone(town.person("m1"))
    first = phone.done("thread.posted", post("first", message_id="x1"))
    assert phone.refused("thread.posted", post("second", message_id="x1")) == "already_posted"
    town.phone(town.person("m2")).done("thread.posted", post("another author's", message_id="x1"))
    phone.done("thread.posted", post("another thread", thread="t2", message_id="x1"))
    asked = {"orgPath": "g1/c1/b1", "threadId": "t1"}
    page = phone.query("thread.page", asked)["posts"]
    assert texts(page) == ["first", "another author's"]
    assert int(page[0]["sequence"]) == first["sequence"]


def test_a_reply_names_its_post(town):
    phone = town.phone(town.person("m1"), subscribe=["thread.g1/c1/b1.t1"])
    first = phone.done("thread.posted", post("question"))
    phone.done("thread.posted", post("answer", replyTo=str(first["sequence"])))
    pushes = phone.wait_push(2, type_="thread.post")
    assert int(pushes[1]["payload"]["replyTo"]) == first["sequence"]


def test_the_documents(town):
    accepted = town.phone(town.person("m1")).done("thread.posted", post("text", message_id="x1"))
    documents = town.find("posts")
    assert len(documents) == 1 and documents[0]["evt_seq"] == accepted["sequence"]
    assert documents[0]["_id"].startswith(f"{town.name}|") and "m1" in documents[0]["_id"]
