"""A thread with many viewers on one gateway: its pushes are gathered and go out as one frame for each session."""

from people import new_id

CHANNEL = "thread.g1/c1/b1.t1"
VIEWERS = 4
SETTINGS = {"thread_batch_viewers": VIEWERS - 1, "thread_batch_ms": 2000}


def write(writer, texts):
    for text in texts:
        payload = {"orgPath": "g1/c1/b1", "threadId": "t1", "messageId": new_id("x"), "text": text}
        writer.emit("thread.posted", payload)


def texts(phone):
    return [p["payload"]["text"] for p in phone.of(CHANNEL, "thread.post")]


def test_batches_are_whole_and_in_order(town):
    viewers = [town.phone(town.person(f"m{n}"), subscribe=[CHANNEL], encoding=("json", "protobuf")[n % 2])
               for n in range(VIEWERS)]  # fmt: skip
    writer = town.phone(town.person("w"))
    posts = [f"p{n}" for n in range(20)]
    before = [viewer.messages for viewer in viewers]
    write(writer, posts[:10])
    # one who comes in the middle of a batch, and one who goes and comes back
    late = town.phone(town.person("late"), subscribe=[(CHANNEL, {"epoch": "", "offset": 0})])
    place = viewers[0].position(CHANNEL)
    viewers[0].close()
    write(writer, posts[10:])
    back = town.phone(town.person("m0"), subscribe=[(CHANNEL, place)])
    for viewer in viewers[1:]:
        viewer.wait_push(20, channel=CHANNEL)
        assert texts(viewer) == posts
    late.wait_push(20, channel=CHANNEL)
    assert texts(late) == posts
    missed = 20 - len(texts(viewers[0]))
    back.wait_push(missed, channel=CHANNEL)
    assert texts(viewers[0]) + texts(back) == posts
    for viewer, at in list(zip(viewers, before, strict=True))[1:]:
        assert viewer.messages - at < len(posts), "twenty posts came in twenty frames"
