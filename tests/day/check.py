"""What must be true after a day, told from the database and the clients' transcripts alone.

check(documents, transcript) -> a list of texts, one for each thing that is not so. `documents` is {collection: [document]}
of the day's tenant. Everything expected is computed here from what the clients were told; nothing of it is asked of the
servers, and no code of theirs is used.
"""

import collections
import math

from complaints import DISCREET, Complained
from play import BRANCHES, LESSON_MS

COMPLETE_PERMILLE = 950


class Checker:
    def __init__(self, documents, transcript):
        self.documents, self.transcript = documents, transcript
        self.wrong = []

    def expect(self, condition, text):
        if not condition:
            self.wrong.append(text)

    def same(self, found, due, what):
        self.expect(found == due, f"{what}: {found!r}, and {due!r} is due")

    def rows(self, collection, **fields):
        return [row for row in self.documents.get(collection, [])
                if all(row.get(name) == value for name, value in fields.items())]  # fmt: skip

    def run(self):
        for check in (self.outcomes, self.refusals, self.channels, self.notices, self.rosters, self.checkins, self.votes,
                      self.hours, self.study, self.threads, self.files, Complained(self).run):
            check()
        return self.wrong

    # --- of every event ---

    def outcomes(self):
        """Each accepted event has exactly one outcome, and it is the one that its sender was told."""
        stored = collections.defaultdict(list)
        for row in self.documents["outcomes"]:
            stored[row.get("actor"), row.get("event_id")].append(row)
        for event in self.transcript.events(status=None):
            if event["type"] in DISCREET:
                continue  # complaints.py looks at those
            rows = stored[event["member"], event["id"]]
            self.same(len(rows), 1, f"outcomes of {event['type']} {event['id']} of {event['member']}")
            if rows:
                self.same((rows[0]["status"].upper(), rows[0]["code"], rows[0]["type"]),
                          (event["outcome"]["status"], event["outcome"]["code"], event["type"]),
                          f"outcome of {event['type']} {event['id']}")

    def refusals(self):
        """Whoever may not was stopped, with the code that says why."""
        codes = collections.defaultdict(set)
        for entry in self.transcript.entries:
            if entry["kind"] == "refusal":
                codes[entry["type"]].add(entry["code"])
            elif entry["kind"] == "event" and entry["outcome"]["status"] == "REFUSED":
                codes[entry["type"]].add(entry["outcome"]["code"])
        for type_, due in (("notice.published", "forbidden"), ("notice.read", "not_in_audience"),
                           ("checkin.recorded", "code_wrong"), ("checkin.recorded", "not_on_roster"),
                           ("member.changed", None), ("thread.edited", None), ("study.progressed", None),
                           ("notice.approved", None), ("meeting.vote_cast", None)):
            found = codes[type_]
            self.expect(found if due is None else due in found, f"{type_} was refused with {sorted(found)}, {due} is due")

    def channels(self):
        """Each session saw a channel's pushes once and in order, and all of them saw the same."""
        seen = collections.defaultdict(lambda: collections.defaultdict(list))
        for push in self.transcript.pushes():
            if push["offset"]:
                seen[push["channel"]][push["member"]].append((push["offset"], push["id"]))
        for channel, sessions in seen.items():
            everything = sorted(set().union(*sessions.values()))
            for member, got in sessions.items():
                offsets = [offset for offset, _ in got]
                self.same(offsets, sorted(set(offsets)), f"{member}'s offsets of {channel}")
                # Everybody holds these channels from their beginning; roles may hide a push of an org's channel.
                if not channel.startswith("org."):
                    self.same(got, everything, f"what {member} saw of {channel}")

    # --- notices ---

    def places(self, path):
        """{place: member} of a branch."""
        rows = self.rows("branches", org_path=path)
        return {entry["p"]: entry["m"] for row in rows for entry in row["members"]}

    def receipts(self, notice, path, name):
        rows = self.rows("notice_receipts", notice_id=notice, org_path=path)
        bits = bytes(rows[0].get(name, b"")) if rows else b""
        others = {other["m"] for row in rows for other in row.get("others", [])}
        self.same(others, set(), f"members without a place in the receipts of {notice} in {path}")
        return {member for place, member in self.places(path).items()
                if place // 8 < len(bits) and bits[place // 8] >> place % 8 & 1}  # fmt: skip

    def notices(self):
        published = {e["payload"]["noticeId"]: e for e in self.transcript.events("notice.published")}
        self.same({row["notice_id"] for row in self.rows("notices")}, set(published), "the notices")
        for notice in published:
            did = {name: {e["member"]: e["path"] for e in self.transcript.events(f"notice.{name}")
                          if notice in (e["payload"].get("noticeIds") or [e["payload"].get("noticeId")])}
                   for name in ("received", "read", "confirmed")}  # fmt: skip
            did["read"] = {**did["read"], **did["confirmed"]}
            did["received"] = {**did["received"], **did["read"]}
            for path in BRANCHES:
                for name, stored in (("received", "delivered"), ("read", "read"), ("confirmed", "confirmed")):
                    self.same(sorted(self.receipts(notice, path, stored)),
                              sorted(member for member, home in did[name].items() if home == path),
                              f"who is {stored} of {notice} in {path}")
            self.reported(notice, did)
        self.reminded()

    def reported(self, notice, did):
        """The publisher was told the same numbers."""
        for answer in self.transcript.answers("notice.receipts"):
            if answer["request"]["noticeId"] != notice or "reply" not in answer:
                continue
            for branch in answer["reply"]["branches"]:
                for name, field in (("received", "delivered"), ("read", "read"), ("confirmed", "confirmed")):
                    due = [m for m, home in did[name].items() if home == branch["orgPath"]]
                    self.same(int(branch.get(field, 0)), len(due), f"{field} of {notice} in {branch['orgPath']} as reported")

    def reminded(self):
        """A reminder reaches those who have not read, and nobody else."""
        for event in self.transcript.events("notice.reminded"):
            path, notice = event["payload"]["orgPath"], event["payload"]["noticeId"]
            readers = {e["member"] for e in self.transcript.events("notice.read") + self.transcript.events("notice.confirmed")
                       if e["payload"]["noticeId"] == notice and e["sequence"] < event["sequence"]}  # fmt: skip
            told = {push["member"] for push in self.transcript.pushes(type_="notice.reminder")
                    if push["payload"]["noticeId"] == notice}  # fmt: skip
            listening = {e["member"] for e in self.transcript.entries if e["kind"] == "push"}
            due = {m for m in self.places(path).values() if m not in readers}
            self.same(sorted(told), sorted(due & listening), f"who was reminded of {notice} in {path}")

    # --- the branch and its meeting ---

    def rosters(self):
        for path in BRANCHES:
            registered = {e["payload"]["memberId"] for e in self.transcript.events("member.registered")
                          if e["payload"]["orgPath"] == path}  # fmt: skip
            self.same(sorted(self.places(path).values()), sorted(registered), f"the roster of {path}")

    def checkins(self):
        applied = self.transcript.events("checkin.recorded")
        came = {e["payload"].get("member") or e["member"]: e["payload"]["method"] for e in applied}
        self.same(len(came), len(applied), "members whose check-in was applied, one each")
        self.same(sorted((row["member"], row["method"]) for row in self.rows("checkins")), sorted(came.items()), "the check-ins")
        meeting = self.rows("meetings", meeting_id="theme-day")
        present = self.present(came)
        if self.expect_one(meeting, "the meeting"):
            self.same(meeting[0]["state"], "CLOSED", "the meeting")
            self.same(meeting[0]["present_at_close"], len(came), "who was there at the closing")
            self.same(meeting[0]["present_count"], len(present), "who was there, corrections counted in")
        for answer in self.transcript.answers("meeting.attendance")[-1:]:
            states = collections.defaultdict(set)
            for entry in answer["reply"]["entries"]:
                states[entry["state"]].add(entry["member"])
            self.same(sorted(states["PRESENT"]), sorted(present), "attendance: present")
            leave = {e["payload"]["member"] for e in self.transcript.events("checkin.leave_decided") if e["payload"]["granted"]}
            self.same(sorted(states["ON_LEAVE"]), sorted(leave - set(came)), "attendance: on leave")
        counts = {push["member"]: int(push["payload"].get("present", 0))
                  for push in self.transcript.pushes(type_="meeting.attendance_count")}  # fmt: skip
        self.same(set(counts.values()), {len(present)}, "the live count of everybody who saw it")

    def present(self, came):
        """The last correction of a member stands, else the check-in."""
        last = {e["payload"]["member"]: e["payload"]["state"] for e in self.transcript.events("checkin.corrected")}
        return {member for member in {*came, *last} if last.get(member, "PRESENT") == "PRESENT"}

    def expect_one(self, rows, what):
        self.same(len(rows), 1, what)
        return len(rows) == 1

    def votes(self):
        """Counted anew from the ballots that were accepted: an ordinary vote of those who should attend."""
        ballots = {e["member"]: e["payload"]["choice"] for e in self.transcript.events("meeting.vote_cast")}
        self.same(len(ballots), len(self.transcript.events("meeting.vote_cast")), "voters, one ballot each")
        self.same({row["member"]: row["choice"] for row in self.rows("meeting_ballots")}, ballots, "the ballots")
        rows = self.rows("meeting_votes", vote_id="plan")
        if not self.expect_one(rows, "the vote"):
            return
        full = {e["payload"]["memberId"] for e in self.transcript.events("member.registered")
                if e["payload"]["orgPath"] == BRANCHES[0] and e["payload"]["file"]["kind"] == "FULL"}
        present = full & {row["member"] for row in self.rows("checkins")}
        yes = sum(choice == "VOTE_YES" for choice in ballots.values())
        self.expect(set(ballots) <= present, f"voted without being there: {set(ballots) - present}")
        self.same((rows[0]["should"], rows[0]["present"], rows[0]["yes"]), (len(full), len(present), yes),
                  "the figures of the vote")  # fmt: skip
        due = "VOTE_NO_QUORUM" if 2 * len(present) < len(full) else "VOTE_PASSED" if 2 * yes > len(full) else "VOTE_NOT_PASSED"
        self.same(rows[0]["result"], due, "the result of the vote")

    def hours(self):
        """Fill in once: the meeting's minutes for everybody who was there, once, and nobody else; what a correction takes
        back stands beside what was credited, with its reason."""
        credited = collections.Counter()
        for row in self.rows("study_hours"):
            if row["source"].endswith("/theme-day"):
                credited[row["member"]] += row["seconds"]
        present = self.present({row["member"] for row in self.rows("checkins")})
        meeting = self.rows("meetings", meeting_id="theme-day")[0]
        took = min(meeting["ends_at"], meeting["closed_at"]) - max(meeting["starts_at"], meeting["opened_at"])
        due = 60 * math.ceil(took.total_seconds() / 60)  # a minute that has begun counts
        self.expect(due > 0, "the meeting took place")
        self.same({member: seconds for member, seconds in credited.items() if seconds}, dict.fromkeys(present, due),
                  "the hours of the meeting")  # fmt: skip
        reasons = {e["payload"]["reason"] for e in self.transcript.events("checkin.corrected")}
        back = [row for row in self.rows("study_hours") if row["seconds"] < 0]
        self.expect(back and all(row["reason"] in reasons for row in back), "hours were taken back, each with the reason")
        studied = self.rows("study_hours", source_kind="STUDIED_LESSON")
        times = collections.Counter((row["member"], row["source"]) for row in studied)
        self.same({what: count for what, count in times.items() if count > 1}, {}, "hours credited more than once")

    # --- study ---

    def study(self):
        watched = collections.defaultdict(set)
        for event in self.transcript.events("study.progressed"):
            for piece in event["payload"]["intervals"]:
                watched[event["member"]].update(range(piece["fromMs"], piece["toMs"]))
        started = {e["member"] for e in self.transcript.events("study.started")}
        covered = {row["member"]: row["covered_ms"] for row in self.rows("study_progress")}
        self.same({m: ms for m, ms in covered.items() if ms}, {m: len(ms) for m, ms in watched.items() if ms}, "covered_ms")
        done = {m for m, ms in watched.items() if len(ms) * 1000 >= LESSON_MS * COMPLETE_PERMILLE}
        completed = {row["member"] for row in self.rows("study_progress") if row.get("completed_at")}
        self.same(sorted(completed), sorted(done), "who has completed the lesson")
        self.expect(set(watched) <= started, "only a session that was started makes progress")
        seen = collections.defaultdict(int)
        for answer in self.transcript.answers("study.progress"):
            for progress in answer.get("reply", {}).get("progress", []):
                now = int(progress.get("coveredMs", 0))
                self.expect(now >= seen[answer["member"]], f"the progress of {answer['member']} fell to {now}")
                seen[answer["member"]] = now

    # --- the discussion ---

    def threads(self):
        posted = sorted(self.transcript.events("thread.posted"), key=lambda e: e["sequence"])
        stored = sorted(self.rows("posts"), key=lambda row: row["sequence"])
        self.same([(row["sequence"], row["author"], row["text"]) for row in stored],
                  [(e["sequence"], e["member"], e["payload"]["text"]) for e in posted], "the posts, in the order of the stream")
        for member in {push["member"] for push in self.transcript.pushes(type_="thread.post")}:
            got = [push["payload"]["messageId"] for push in self.transcript.pushes(type_="thread.post", member=member)]
            self.same(got, [e["payload"]["messageId"] for e in posted], f"the posts as {member} saw them")
        standing = collections.defaultdict(set)
        for event in sorted(self.transcript.events("thread.reacted"), key=lambda e: e["sequence"]):
            at = standing[int(event["payload"]["sequence"]), event["payload"]["kind"]]
            (at.discard if event["payload"].get("takenBack") else at.add)(event["member"])
        due = {key: len(members) for key, members in standing.items() if members}
        counts = {(row["sequence"], kind): count for row in self.rows("post_states")
                  for kind, count in row.get("reactions", {}).items() if count}
        self.same(counts, due, "the reactions")
        hidden = {int(e["payload"]["sequence"]) for e in self.transcript.events("thread.hidden")}
        for answer in self.transcript.answers("thread.page"):
            for post in answer.get("reply", {}).get("posts", []):
                gone = int(post["sequence"]) in hidden
                self.expect(not (gone and post.get("text")), f"a hidden post shows its text to {answer['member']}")
                mine = {kind for (sequence, kind), members in standing.items()
                        if sequence == int(post["sequence"]) and answer["member"] in members}
                self.same(set(post.get("mine", [])), mine, f"the own reactions of {answer['member']}")

    # --- files ---

    def files(self):
        """Of two changes of one revision one stands; who looked is seen; what is secret is not readable."""
        changes = self.transcript.events("member.changed", status=None)
        self.same(sorted(e["outcome"]["status"] for e in changes), ["APPLIED", "REFUSED"], "two changes of one revision")
        reader = next((e["member"] for e in changes if e["outcome"]["status"] == "APPLIED"), None)
        for answer in self.transcript.answers("member.accesses"):
            self.expect(reader in [a["reader"] for a in answer.get("reply", {}).get("accesses", [])],
                        f"{answer['member']} does not see that {reader} read its file")
        text = repr(self.documents)
        for event in self.transcript.events("member.registered"):
            phone = event["payload"]["file"]["phone"]
            self.expect(phone not in text, f"the phone of {event['payload']['memberId']} stands readable in the database")


def check(documents, transcript):
    return Checker(documents, transcript).run()
