"""Discussion threads: order, pages, replies, one post for each message id."""

import threading

from people import new_id

SETTINGS = {"rules_dir": ""}  # the built-in ones


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


THREAD = {"orgPath": "g1/c1/b1", "threadId": "t1"}
CHANNEL = "thread.g1/c1/b1.t1"


def kinds(counts):
    return {c["kind"]: c["count"] for c in counts}


def test_three_phones_discuss(town):
    """Post, edit, react, flag, hide, mention, read: what each of three phones sees of it."""
    author = town.phone(town.person("m1"), subscribe=[CHANNEL, "org.g1/c1/b1", "member.m1"])
    reader = town.phone(town.person("m2"), subscribe=[CHANNEL, "org.g1/c1/b1", "member.m2"], encoding="protobuf")
    secretary = town.phone(town.secretary, subscribe=[CHANNEL, "org.g1/c1/b1"])
    sequences = [author.done("thread.posted", post(f"p{n}"))["sequence"] for n in range(3)]
    first, second = ({**THREAD, "sequence": str(sequence)} for sequence in sequences[:2])

    author.done("thread.edited", {**first, "text": "p0 mended"})
    assert reader.refused("thread.edited", {**first, "text": "not mine"}) == "not_the_author"
    for kind in ("LIKE", "AGREE"):
        reader.done("thread.reacted", {**first, "kind": kind})
    assert reader.refused("thread.reacted", {**first, "kind": "LIKE"}) == "already_reacted"
    author.done("thread.reacted", {**first, "kind": "LIKE"})
    reader.done("thread.reacted", {**first, "kind": "AGREE", "takenBack": True})
    assert reader.refused("thread.reacted", {**first, "kind": "THANKS", "takenBack": True}) == "not_reacted"
    reader.done("thread.flagged", {**second, "reason": "off topic"})
    assert reader.refused("thread.flagged", {**second, "reason": "again"}) == "already_flagged"
    assert reader.error_of({"emit": {"eventId": new_id("e"), "type": "thread.hidden",
                                     "payload": {**second, "reason": "r"}}})["code"] == "forbidden"  # fmt: skip
    last = secretary.done("thread.hidden", {**second, "reason": "off topic"})["sequence"]
    assert author.refused("thread.edited", {**second, "text": "t"}) == "post_hidden"

    page = reader.query("thread.page", THREAD, last)["posts"]
    assert texts(page[::2]) == ["p0 mended", "p2"] and page[0]["edits"] == 1
    assert kinds(page[0]["reactions"]) == {"LIKE": 2} and page[0]["mine"] == ["LIKE"]
    assert page[1]["hidden"] and not page[1].get("text")
    assert (page[1]["hiddenBy"], page[1]["hiddenReason"]) == (town.secretary.member, "off topic")
    for phone in (author, reader, secretary):
        told = [p["type"].partition(".")[2] for p in phone.wait_push(9, channel=CHANNEL)]
        assert told == ["post"] * 3 + ["post_edited"] + ["reaction"] * 4 + ["post_hidden"]
    flag = secretary.wait_push(type_="thread.flag")[0]["payload"]
    assert (flag["member"], flag["sequence"], flag["reason"]) == ("m2", second["sequence"], "off topic")
    assert not author.of(type_="thread.flag") and not reader.of(type_="thread.flag")
    flags = secretary.query("thread.flags", {"orgPath": "g1/c1/b1"})["flags"]
    assert [(f["member"], f["sequence"]) for f in flags] == [("m2", second["sequence"])]

    history = reader.query("thread.history", first)
    assert texts(history["versions"]) == ["p0", "p0 mended"] and history["author"] == "m1"
    hidden = reader.query("thread.history", second)
    assert hidden["hidden"] and not hidden.get("versions")
    assert texts(secretary.query("thread.history", second)["versions"]) == ["p1"]


def test_a_mention_is_told_in_the_inbox(town):
    author, other = town.phone(town.person("m1")), town.phone(town.person("m2"), subscribe=["member.m2"])
    other.done("thread.posted", post("here I am"))
    author.done("thread.posted", post("and you?", mentions=["m2"]))
    told = other.wait_push(type_="thread.mentioned")[0]
    assert told["payload"]["text"] == "and you?" and told["payload"]["author"] == "m1"
    stranger = post("who?", mentions=["m2", "nobody"])
    assert author.refused("thread.posted", stranger) == "stranger_mentioned"


def test_unread_and_list(town):
    author, reader = town.phone(town.person("m1")), town.phone(town.person("m2"))
    sequences = [author.done("thread.posted", post(f"p{n}"))["sequence"] for n in range(3)]
    own = reader.done("thread.posted", post("mine"))["sequence"]
    assert reader.query("thread.unread", THREAD, own)["unread"] == 3
    reader.done("thread.read_up_to", {**THREAD, "sequence": str(sequences[1])})
    reader.done("thread.read_up_to", {**THREAD, "sequence": str(sequences[0])})
    unread = reader.query("thread.unread", THREAD)
    assert unread["unread"] == 1 and not unread.get("more") and unread["readUpTo"] == str(sequences[1])
    beyond = {**THREAD, "sequence": str(own + 1)}
    assert reader.refused("thread.read_up_to", beyond) == "invalid_value"
    for thread in ("t2", "t3"):
        author.done("thread.posted", post("p", thread=thread))
    last = reader.done("thread.posted", post("p", thread="t2"))["sequence"]
    first = reader.query("thread.list", {"orgPath": "g1/c1/b1", "limit": 2}, last)
    assert [(t["threadId"], t["starter"], t["posts"]) for t in first["threads"]] == [("t2", "m1", 2), ("t3", "m1", 1)]
    rest = reader.query("thread.list", {"orgPath": "g1/c1/b1", "before": first["nextBefore"]})
    assert [t["threadId"] for t in rest["threads"]] == ["t1"] and not rest.get("nextBefore")


def test_one_who_writes_too_often_is_told_when_again(town):
    phone = town.phone(town.person("m1"), subscribe=["member.m1"])
    posts = [(new_id("e"), post(f"{n}")) for n in range(61)]
    for event, payload in posts:
        phone.emit("thread.posted", payload, event)
    told = phone.wait_push(type_="event.outcome")[0]["payload"]
    assert (told["eventId"], told["code"], told["field"]) == (posts[60][0], "posted_too_often", "threadId")
    assert "again at 20" in told["text"]
    town.phone(town.person("m2")).done("thread.posted", post("another member may"))
