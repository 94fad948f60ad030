"""The formats of JSON Schema that are enforced, as patterns. Each gives some of a format's texts, and no others."""

from __future__ import annotations

_DAYS = r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_DATE = rf"[12][0-9]{{3}}-{_DAYS}"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"
_HOST = rf"{_LABEL}(\.{_LABEL}){{1,4}}"

FORMATS = {
    "date": rf"^{_DATE}$",
    "time": rf"^{_TIME}$",
    "date-time": rf"^{_DATE}T{_TIME}$",
    "duration": r"^P([0-9]{1,6}D(T[0-9]{1,6}H)?|T[0-9]{1,6}[HMS]|[0-9]{1,6}[WMY])$",
    "email": rf"^[A-Za-z0-9_]([A-Za-z0-9_+-]|\.[A-Za-z0-9_+-]){{0,40}}@{_HOST}$",
    "hostname": rf"^{_HOST}$",
    "ipv4": rf"^{_BYTE}(\.{_BYTE}){{3}}$",
    "ipv6": r"^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}$",
    "uri": rf"^https?://{_HOST}(:[1-9][0-9]{{1,3}})?(/[A-Za-z0-9._~-]{{0,60}}){{0,12}}$",
    "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}
