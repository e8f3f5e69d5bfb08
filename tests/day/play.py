"""A day of two branches: founded, convened, told, taught, checked in, voted, discussed, complained of, answered, closed.

Who does what is drawn from a seed; the clients talk to the gateway alone, and all they say and hear is in the
transcript. Nothing here looks into the database, and nothing here judges: that is check.py's.
"""

import base64
import random
import time

from client import Client
from complaints import Complaints
from people import Person, checkin_code, code_slot
from waiting import until

GROUP, BRANCHES = "group", ("group/c1/b1", "group/c1/b2")
SIZE = 12
CODE_PERIOD_S = 30
LESSON_MS = 6000
MEETING_S = 5400


def stamp(seconds_from_now):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds_from_now))


class Day:
    def __init__(self, stack, transcript, tenant, seed, disturb=lambda: None):
        """disturb() is called between the steps of the day, and may end or start processes."""
        self.stack, self.transcript, self.tenant = stack, transcript, tenant
        self.random = random.Random(seed)
        self.disturb = disturb
        self.clients = {}
        self.complaints = Complaints(self)
        self.meeting = {"orgPath": BRANCHES[0], "meetingId": "theme-day"}
        self.meeting_channel = f"meeting.{BRANCHES[0]}.theme-day"
        self.thread = {"orgPath": BRANCHES[0], "threadId": "after-the-theme-day"}
        self.thread_channel = f"thread.{BRANCHES[0]}.after-the-theme-day"

    # --- who is there ---

    def person(self, member, path, *roles):
        return Person(self.tenant, member, path, ("member", *roles))

    def cast(self):
        people = [self.person("admin", GROUP, f"admin@{GROUP}"), self.person("chief", GROUP, f"secretary@{GROUP}"),
                  self.person("deputy", GROUP, f"secretary@{GROUP}"), self.person("control", GROUP, f"inspector@{GROUP}")]
        for n, path in enumerate(BRANCHES):
            for place in range(SIZE):
                roles = (f"secretary@{path}",) if place == 0 else ()
                people.append(self.person(f"b{n + 1}-m{place:02}", path, *roles))
        return people

    def members(self, branch):
        return [self.clients[f"b{branch + 1}-m{place:02}"] for place in range(SIZE)]

    def secretary(self, branch):
        return self.members(branch)[0]

    def connect(self):
        """Everybody but some who only ask over HTTP holds a socket, in one of the two encodings."""
        for number, person in enumerate(self.cast()):
            inbox = f"member.{person.member}"
            encoding = ("json", "protobuf", None)[number % 3] if person.member[-2:] not in ("00", "ol", "ef") else "json"
            channels = [inbox, *self.orgs_of(person.path)]
            self.clients[person.member] = Client(self.stack, self.transcript, person, encoding, channels if encoding else ())

    @staticmethod
    def orgs_of(path):
        parts = path.split("/")
        return [f"org.{'/'.join(parts[:n])}" for n in range(1, len(parts) + 1)]

    def some(self, clients, share):
        return [client for client in clients if self.random.random() < share]

    # --- the steps ---

    def run(self):
        steps = (self.found, self.publish, self.convene, self.schedule, self.read, self.study, self.check_in, self.vote,
                 self.discuss, self.complaints.complain, self.correct, self.complaints.answer, self.close,
                 self.look_back)  # fmt: skip
        for step in steps:
            step()
            self.disturb()
            for client in self.clients.values():
                client.tell()
        self.settle_down()

    def found(self):
        self.connect()
        admin = self.clients["admin"]
        for path, name, kind in ((GROUP, "星火集团党委", "PARTY_COMMITTEE"), ("group/c1", "机电公司党总支", "GENERAL_BRANCH"),
                                 (BRANCHES[0], "总装车间党支部", "BRANCH"), (BRANCHES[1], "铸造车间党支部", "BRANCH")):
            admin.do("org.founded", {"orgPath": path, "name": name, "kind": kind, "basis": "建立支部"})
        for client in [c for branch in range(2) for c in self.members(branch)]:
            secretary = client.person.roles != ("member",)
            roles = [{"role": "ROLE_SECRETARY", "scope": client.person.path}] if secretary else []
            probationary = client.name.endswith("11")
            admin.do("member.registered", {
                "orgPath": client.person.path, "memberId": client.name, "basis": "入党",
                "file": {"name": f"党员{client.name}", "kind": "PROBATIONARY" if probationary else "FULL",
                         "phone": f"1000{self.random.randrange(10**7):07}", "roles": roles}})
        for path in BRANCHES:
            until(lambda path=path: admin.ask("member.roster", {"orgPath": path}).get("count") == SIZE, timeout=60,
                  what=f"the roster of {path}")

    def publish(self):
        """To both branches; to one; an urgent one that needs two; one that will be recalled."""
        chief, secretary = self.clients["chief"], self.secretary(0)
        chief.do("notice.published", {"noticeId": "to-all", "orgPath": GROUP, "noticeClass": "CONFIRM",
                                      "title": "关于主题党日的通知", "body": "请提前阅读学习材料。"})
        secretary.do("notice.published", {"noticeId": "to-one", "orgPath": BRANCHES[0], "noticeClass": "INFO",
                                          "title": "请带学习笔记", "body": "下午三点，三楼会议室。"})
        chief.do("notice.published", {"noticeId": "urgent", "orgPath": GROUP, "noticeClass": "URGENT",
                                      "title": "台风预警", "body": "今晚值班同志坚守岗位。"})
        approval = {"orgPath": GROUP, "noticeId": "urgent"}
        chief.do("notice.approved", approval)
        self.clients["deputy"].do("notice.approved", approval)
        chief.do("notice.published", {"noticeId": "recalled", "orgPath": GROUP, "noticeClass": "INFO", "title": "活动",
                                      "body": "周六活动。"})
        # A secretary outside its scope.
        self.secretary(1).do("notice.published", {"noticeId": "strange", "orgPath": BRANCHES[0], "noticeClass": "INFO",
                                                  "title": "t", "body": "b"})

    def convene(self):
        self.secretary(0).do("meeting.convened", {
            **self.meeting, "kind": "THEME_DAY", "title": "主题党日：学习与讨论", "place": "三楼会议室",
            "startsAt": stamp(3603), "endsAt": stamp(3603 + MEETING_S), "rosterOfBranch": True, "codePeriodS": CODE_PERIOD_S})
        # An hour before the start everybody on the roster is reminded.
        for client in self.members(0):
            if client.phone:
                client.wait(lambda phone: phone.of(type_="meeting.reminder"), "the reminder")

    def schedule(self):
        chief = self.clients["chief"]
        chief.do("lesson.scheduled", {
            "orgPath": GROUP, "lessonId": "photo", "version": 1, "revision": 1, "kind": "MICRO_LECTURE",
            "title": "从一张老照片说起", "releaseAt": stamp(1),
            "content": {"blocks": [{"text": "厂里的第一条生产线。"}], "readingMs": LESSON_MS,
                        "questions": [{"text": "讲的是什么？", "choices": ["生产线", "天气"]}]},
            "answers": [{"choices": [0]}]})
        reader = self.secretary(0)
        reader.wait(lambda phone: phone.of(type_="lesson.released"), "the lesson's release")

    def read(self):
        for notice in ("to-all", "to-one", "urgent", "recalled"):
            audience = self.members(0) + ([] if notice == "to-one" else self.members(1))
            for client in self.some(audience, 0.9):
                client.do("notice.received", {"noticeIds": [notice]})
            for client in self.some(audience, 0.6):
                client.do("notice.read", {"noticeId": notice})
            for client in self.some(audience, 0.3):
                client.do("notice.confirmed", {"noticeId": notice})
            self.disturb()
        # Not in the audience; and read twice is read once.
        self.members(1)[3].do("notice.read", {"noticeId": "to-one"})
        for _ in range(2):
            self.members(0)[3].do("notice.read", {"noticeId": "to-one"})
        self.clients["chief"].do("notice.recalled", {"noticeId": "recalled", "reason": "改期"})
        self.secretary(1).do("notice.reminded", {"orgPath": BRANCHES[1], "noticeId": "to-all"})

    def study(self):
        """Everybody who studies watches pieces, in any order, some of them twice; one has two phones."""
        students = self.some(self.members(0) + self.members(1), 0.7)
        for client in students:
            client.do("study.started", {"sessionId": f"s-{client.name}", "lessonId": "photo", "version": 1, "device": "phone"})
        if students:
            students[0].do("study.started", {"sessionId": "second", "lessonId": "photo", "version": 1, "device": "tablet"})
        self.disturb()
        time.sleep(LESSON_MS / 1000 + 1)  # nobody may claim to have watched for longer than it took
        for client in students:
            session = {"sessionId": f"s-{client.name}", "lessonId": "photo", "version": 1}
            for seq in range(1, self.random.randint(2, 4)):  # all but the first come too early, and are refused
                client.do("study.progressed", {**session, "seq": seq, "intervals": self.pieces()})
                client.ask("study.progress", {"lessonId": "photo"})
            client.do("study.progressed", {**session, "seq": 9, "intervals": [{"fromMs": 0, "toMs": LESSON_MS + 1}]})
            all_of_it = [{"fromMs": 0, "toMs": LESSON_MS}]
            client.do("study.progressed", {**session, "seq": 10, "last": True,
                                           "intervals": all_of_it if self.random.random() < 0.5 else self.pieces()})
            client.ask("study.progress", {"lessonId": "photo"})

    def pieces(self):
        """What was watched: up to four pieces, in any order, over one another or not."""
        pieces = []
        for _ in range(self.random.randint(1, 4)):
            first = self.random.randrange(0, LESSON_MS - 500)
            pieces.append({"fromMs": first, "toMs": self.random.randint(first + 1, LESSON_MS)})
        return pieces

    def check_in(self):
        secretary = self.secretary(0)
        for client in self.members(0):
            if client.phone:
                client.phone.subscribe(self.meeting_channel, {})
        on_leave, by_hand = self.members(0)[-2], self.members(0)[-3]
        on_leave.do("checkin.leave_requested", {**self.meeting, "leaveClass": "DUTY_LEAVE", "reason": "值班"})
        secretary.do("checkin.leave_decided", {**self.meeting, "member": on_leave.name, "granted": True})
        # It is moved forward to now: only what lies in its window counts.
        secretary.do("meeting.changed", {**self.meeting, "revision": 1, "title": "主题党日：学习与讨论", "place": "三楼会议室",
                                         "startsAt": stamp(-1), "endsAt": stamp(MEETING_S), "reason": "提前召开"})
        secretary.do("meeting.opened", self.meeting)
        key = base64.b64decode(secretary.ask("meeting.code_key", self.meeting)["key"])
        for client in self.some(self.members(0)[:-3], 0.8) + [self.members(1)[2]]:
            code = checkin_code(key, tenant=self.tenant, org_path=BRANCHES[0], meeting_id=self.meeting["meetingId"],
                                slot=code_slot(CODE_PERIOD_S))
            entry = client.do("checkin.recorded", {**self.meeting, "method": "CODE", "code": code})
            if entry and self.random.random() < 0.3:
                client.do("checkin.recorded", {**self.meeting, "method": "CODE", "code": code})  # and once more
            if entry and self.random.random() < 0.3:
                client.do("checkin.recorded", entry["payload"], event_id=entry["id"])  # the very same: a retry
            self.disturb()
        secretary.do("checkin.recorded", {**self.meeting, "method": "MANUAL", "member": by_hand.name,
                                          "witness": self.members(0)[1].name, "reason": "手机没有电"})
        # A witness for oneself, and a code of another meeting.
        secretary.do("checkin.recorded", {**self.meeting, "method": "MANUAL", "member": self.members(0)[1].name,
                                          "witness": self.members(0)[1].name, "reason": "手机没有电"})
        wrong = checkin_code(bytes(32), tenant=self.tenant, org_path=BRANCHES[0], meeting_id="other",
                             slot=code_slot(CODE_PERIOD_S))
        self.members(0)[-1].do("checkin.recorded", {**self.meeting, "method": "CODE", "code": wrong})

    def vote(self):
        secretary = self.secretary(0)
        motion = {**self.meeting, "voteId": "plan"}
        secretary.do("meeting.vote_opened", {**motion, "kind": "ORDINARY_VOTE", "motion": "通过下一季度学习计划"})
        for client in self.members(0) + [self.members(1)[4]]:
            choice = self.random.choice(["VOTE_YES", "VOTE_YES", "VOTE_YES", "VOTE_NO", "VOTE_ABSTAIN"])
            client.do("meeting.vote_cast", {**motion, "choice": choice})
            if self.random.random() < 0.3:
                client.do("meeting.vote_cast", {**motion, "choice": "VOTE_YES"})
        self.disturb()
        secretary.do("meeting.vote_closed", motion)

    def discuss(self):
        readers = [client for client in self.members(0) if client.phone]
        for client in readers:
            client.phone.subscribe(self.thread_channel, {})
        posts = []
        for number in range(14):
            author = self.random.choice(self.members(0))
            mentions = [self.members(0)[5].name] if number == 4 else []
            reply_to = {"replyTo": str(self.random.choice(posts)["sequence"])} if posts and number % 3 == 2 else {}
            entry = author.do("thread.posted", {**self.thread, "messageId": f"p{number}", "text": f"发言第{number}条",
                                                "mentions": mentions, **reply_to})
            if entry and entry["outcome"]["status"] == "APPLIED":
                posts.append(entry)
            if number % 5 == 0:
                author.do("thread.posted", {**self.thread, "messageId": f"p{number}", "text": f"发言第{number}条",
                                            "mentions": mentions, **reply_to})  # the same message id, another event
            self.disturb()
        for entry in posts[:8]:
            for client in self.some(self.members(0), 0.4):
                kind = self.random.choice(["LIKE", "AGREE", "THANKS"])
                at = {**self.thread, "sequence": str(entry["sequence"]), "kind": kind}
                client.do("thread.reacted", at)
                if self.random.random() < 0.3:
                    client.do("thread.reacted", {**at, "takenBack": True})
        first, second = posts[0], posts[1]
        author = self.clients[first["member"]]
        author.do("thread.edited", {**self.thread, "sequence": str(first["sequence"]), "text": "改过的发言"})
        stranger = next(client for client in self.members(0) if client is not author)
        stranger.do("thread.edited", {**self.thread, "sequence": str(first["sequence"]), "text": "别人的发言"})
        self.secretary(0).do("thread.hidden", {**self.thread, "sequence": str(second["sequence"]), "reason": "与讨论无关"})
        for client in self.some(self.members(0), 0.5):
            client.do("thread.read_up_to", {**self.thread, "sequence": str(posts[-1]["sequence"])})
        for client in readers:
            client.wait(lambda phone: len(phone.of(self.thread_channel, "thread.post")) >= len(posts), "all posts")

    def correct(self):
        """A file is changed by two secretaries at once, and looked into."""
        member, secretary = self.members(1)[6], self.secretary(1)
        change = {"orgPath": BRANCHES[1], "memberId": member.name, "revision": "2", "fields": ["FIELD_POSITION"],
                  "basis": "岗位调整"}
        secretary.do("member.changed", {**change, "file": {"position": "班组长"}})
        self.clients["chief"].do("member.changed", {**change, "file": {"position": "调度员"}})
        secretary.ask("member.get", {"memberId": member.name, "purpose": "核对档案"})
        member.ask("member.accesses")
        member.ask("member.changes")

    def close(self):
        secretary = self.secretary(0)
        closed = secretary.do("meeting.closed", self.meeting)
        secretary.do("meeting.minutes_filed", {**self.meeting, "revision": 1, "text": "学习了材料，讨论了计划。"})
        absent = self.members(0)[-1]
        secretary.do("checkin.corrected", {**self.meeting, "member": absent.name, "state": "PRESENT", "reason": "签到机坏了"})
        secretary.ask("meeting.attendance", {**self.meeting, "limit": 200}, after=closed)
        secretary.ask("meeting.votes", self.meeting)
        self.correct_the_hours()

    def correct_the_hours(self):
        """Two who have the meeting's hours lose them by a correction; one of them gets them again."""
        present = {e["payload"].get("member") or e["member"] for e in self.transcript.events("checkin.recorded")}
        gone, back = [client for client in self.members(0)[1:] if client.name in present][:2]
        for client in (gone, back):
            self.wait_hours(client, True)
            self.mark(client, "ABSENT", "提前离开")
            self.disturb()
            self.wait_hours(client, False)
        self.mark(back, "PRESENT", "核对签到表")
        self.wait_hours(back, True)

    def mark(self, client, state, reason):
        self.secretary(0).do("checkin.corrected", {**self.meeting, "member": client.name, "state": state, "reason": reason})

    def look_back(self):
        """Everybody looks at what it has."""
        chief = self.clients["chief"]
        for notice, path in (("to-all", GROUP), ("urgent", GROUP), ("to-one", BRANCHES[0])):
            chief.ask("notice.receipts", {"orgPath": path, "noticeId": notice})
        for branch in range(2):
            self.secretary(branch).ask("notice.unread_members", {"orgPath": BRANCHES[branch], "noticeId": "to-all"})
            for client in self.members(branch):
                client.ask("notice.list", {"limit": 50})
                client.ask("study.hours")
                client.ask("study.progress", {"lessonId": "photo"})
        for client in self.members(0):
            client.ask("thread.page", {**self.thread, "limit": 100})

    def settle_down(self):
        """Hours follow a closed meeting by the outbox: wait until those who were there have them."""
        present = [entry["member"] for entry in self.secretary_attendance() if entry["state"] == "PRESENT"]
        for name in present:
            self.wait_hours(self.clients[name], True)
        for client in self.clients.values():
            if client.phone:
                client.phone.read_for(0.3)
            client.tell()

    def secretary_attendance(self):
        return self.secretary(0).ask("meeting.attendance", {**self.meeting, "limit": 200})["entries"]

    def wait_hours(self, client, there):
        until(lambda: self.credited(client) == there, timeout=60, what=f"hours of {client.name}: {there}")

    @staticmethod
    def credited(client):
        """Something is left of what meetings gave."""
        entries = client.ask("study.hours").get("entries", [])
        return 0 < sum(int(entry.get("seconds", 0)) - int(entry.get("takenBackSeconds", 0)) for entry in entries
                       if entry["sourceKind"] == "ATTENDED_MEETING")  # fmt: skip


