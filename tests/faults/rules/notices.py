"""What the events of notices do, for domain.py: no register knows the members of a run, and no hour of it is quiet.

Thus every receipt stands among `others`, without a place in the bitmaps, and no push waits.
"""

APPLIED = ("applied", "")


def covers(outer, path):
    return path == outer or path.startswith(outer + "/")


class Notices:
    """Mixed into Domain, whose _get, _put, _push and _value it uses."""

    def learn_notices(self, deeds):
        """What reads may rely on whatever the order: notices are another aggregate than their receipts."""
        self.notices = {}  # (tenant, notice): the deed that published it
        for deed in deeds:
            if deed.type == "notice.published" and deed.status == "applied":
                self.notices.setdefault((deed.tenant, deed.payload["noticeId"]), deed)

    # judging

    def _judge_notice_published(self, deed):
        if self._get("notices", deed, deed.payload["noticeId"]):
            return "refused", "exists"
        expires = deed.payload.get("expiresAt")
        return ("refused", "invalid_value") if expires and self.stamp_ms(expires) <= deed.at_ms else APPLIED

    def _judge_notice_approved(self, deed):
        notice = self._get("notices", deed, deed.payload["noticeId"])
        if not notice or notice["org_path"] != deed.payload["orgPath"]:
            return "refused", "not_found"
        if notice["state"] != "NOTICE_PENDING":
            return "refused", "notice_recalled" if notice["state"] == "NOTICE_RECALLED" else "notice_not_pending"
        if notice["publisher"] == deed.member:
            return "refused", "same_person"
        return ("refused", "notice_expired") if self._expired(notice, deed) else APPLIED

    def _judge_notice_recalled(self, deed):
        notice = self._get("notices", deed, deed.payload["noticeId"])
        if not notice:
            return "refused", "not_found"
        if notice["publisher"] != deed.member and deed.code == "forbidden":
            return None  # a deed does not say the roles of its member
        return ("refused", "notice_recalled") if notice["state"] == "NOTICE_RECALLED" else APPLIED

    def _judge_notice_release_due(self, deed):
        return APPLIED

    def _judge_notice_remind_due(self, deed):
        return APPLIED

    def _judge_notice_received(self, deed):
        answers = [self._judge_reader(deed, notice) for notice in deed.payload["noticeIds"]]
        return APPLIED if APPLIED in answers else answers[0]

    def _judge_notice_read(self, deed):
        return self._judge_reader(deed, deed.payload["noticeId"])

    def _judge_notice_confirmed(self, deed):
        answer = self._judge_reader(deed, deed.payload["noticeId"])
        if answer != APPLIED:
            return answer
        published = self.notices[deed.tenant, deed.payload["noticeId"]].payload
        if published["noticeClass"] == "INFO":
            return "refused", "nothing_to_confirm"
        return None if deed.code in ("notice_recalled", "notice_expired") else APPLIED

    def _judge_notice_reminded(self, deed):
        key = deed.tenant, deed.payload["noticeId"]
        if key not in self.notices:
            return "refused", "not_found"
        return None if deed.status == "refused" else APPLIED

    def _judge_reader(self, deed, notice):
        key = deed.tenant, notice
        if key not in self.notices:
            return "refused", "not_found"
        if (deed.status, deed.code) == ("refused", "not_found"):
            # The notice is another aggregate: it may have come later. Whoever was shown it cannot be told so.
            return None if deed.emitted <= self.seen_notice.get(key, 1 << 60) else APPLIED
        return APPLIED if self._addresses(key, deed) else ("refused", "not_in_audience")

    def _addresses(self, key, deed):
        published = self.notices[key].payload
        audience = published.get("audience", {})
        return (any(covers(path, deed.path) for path in audience.get("orgPaths") or [published["orgPath"]])
                and deed.member not in audience.get("exclude", []))  # fmt: skip

    def _expired(self, notice, deed):
        return notice.get("expires_at", {"ms": deed.at_ms + 1})["ms"] <= deed.at_ms

    # applying

    def _apply_notice_published(self, deed):
        p = deed.payload
        audience = p.get("audience", {})
        paths = audience.get("orgPaths") or [p["orgPath"]]
        pending = p["noticeClass"] == "URGENT"
        document = {"notice_id": p["noticeId"], "org_path": p["orgPath"], "notice_class": p["noticeClass"],
                    "title": p["title"], "body": p.get("body", ""), "publisher": deed.member,
                    "publish_at": {"ms": deed.at_ms}, "sequence": deed.sequence, "org_paths": paths,
                    "state": "NOTICE_PENDING" if pending else "NOTICE_RELEASED"}  # fmt: skip
        document.update({name: ",".join(audience[name]) for name in ("roles", "exclude") if audience.get(name)})
        if p.get("expiresAt"):
            document["expires_at"] = {"ms": self.stamp_ms(p["expiresAt"])}
        if not pending:
            document["inbox"] = paths
        self._put("notices", deed, document, p["noticeId"])
        for path in [p["orgPath"]] if pending else paths:
            self._push(deed, f"org.{path}", "notice.pending" if pending else "notice.posted", self._posted(document))

    def _posted(self, notice):
        return {"noticeId": notice["notice_id"], "orgPath": notice["org_path"], "noticeClass": notice["notice_class"],
                "title": notice["title"], "body": notice["body"], "publisher": notice["publisher"],
                "expiresAt": self.stamp(notice["expires_at"]["ms"]) if "expires_at" in notice else None,
                "publishedAt": self.stamp(notice["publish_at"]["ms"]), "sequence": str(notice["sequence"])}  # fmt: skip

    def _apply_notice_approved(self, deed):
        notice = self._get("notices", deed, deed.payload["noticeId"])
        notice = {**notice, "state": "NOTICE_RELEASED", "inbox": notice["org_paths"], "approver": deed.member,
                  "approved_at": {"ms": deed.at_ms}, "sequence": deed.sequence}  # fmt: skip
        self._put("notices", deed, notice, deed.payload["noticeId"])
        for path in notice["org_paths"]:
            self._push(deed, f"org.{path}", "notice.posted", self._posted(notice))

    def _apply_notice_recalled(self, deed):
        notice, reason = self._get("notices", deed, deed.payload["noticeId"]), deed.payload.get("reason", "")
        self._put("notices", deed, {**notice, "state": "NOTICE_RECALLED", "recalled_by": deed.member,
                                    "recalled_at": {"ms": deed.at_ms}, "recall_reason": reason},
                  deed.payload["noticeId"])  # fmt: skip
        for path in notice.get("inbox") or [notice["org_path"]]:
            self._push(deed, f"org.{path}", "notice.recalled", {
                "noticeId": deed.payload["noticeId"], "reason": reason, "recalledBy": deed.member,
                "recalledAt": self.stamp(deed.at_ms)})  # fmt: skip

    def _apply_notice_release_due(self, deed):
        notice = self._get("notices", deed, deed.payload["noticeId"])
        if notice and notice["state"] == "NOTICE_RELEASED" and not self._expired(notice, deed):
            for path in notice["org_paths"]:
                self._push(deed, f"org.{path}", "notice.posted", self._posted(notice))

    def _apply_notice_received(self, deed):
        for notice in deed.payload["noticeIds"]:
            if (deed.tenant, notice) in self.notices and self._addresses((deed.tenant, notice), deed):
                self._receipt(deed, notice, {})

    def _apply_notice_read(self, deed):
        self._receipt(deed, deed.payload["noticeId"], {"r": True})

    def _apply_notice_confirmed(self, deed):
        self._receipt(deed, deed.payload["noticeId"], {"r": True, "t": {"ms": deed.at_ms}})

    def _receipt(self, deed, notice, news):
        old = self._get("notice_receipts", deed, notice, deed.path)
        others = {other["m"]: other for other in (old["others"] if old else [])}
        mine = {"m": deed.member, **news, **others.get(deed.member, {})}
        if others.get(deed.member) != mine:
            others[deed.member] = mine
            document = {"notice_id": notice, "org_path": deed.path, "others": list(others.values())}
            self._put("notice_receipts", deed, document, notice, deed.path)
        counts = {"delivered": len(others), "read": sum("r" in other for other in others.values()),
                  "confirmed": sum("t" in other for other in others.values())}  # fmt: skip
        self._value(deed, f"member.{self.notices[deed.tenant, notice].member}", f"receipts.{notice}.{deed.path}",
                    "notice.receipt_count", {"noticeId": notice, "orgPath": deed.path, **counts})  # fmt: skip

    def _apply_notice_reminded(self, deed):
        """Whom it reminds depends on receipts of another aggregate: no run sends it."""
        raise KeyError(deed.type)

    def _apply_notice_remind_due(self, deed):
        raise KeyError(deed.type)
