"""The profile of a LibreOffice that opens strangers' documents: no macros, no active content, nothing from elsewhere.

With the default profile a linked picture is fetched and a local file embedded. Written before every start, so that
nothing that a document brought about outlives the process.
"""

import shutil
from pathlib import Path
from xml.sax.saxutils import escape

SCRIPTING = "/org.openoffice.Office.Common/Security/Scripting"
INET = "/org.openoffice.Inet/Settings"
NOWHERE, DISCARD = "127.0.0.1", 9  # nobody answers there

#: Node, property, value. What is a bool here is an xs:boolean there.
HARDENED: tuple[tuple[str, str, bool | int | str], ...] = (
    (SCRIPTING, "BlockUntrustedRefererLinks", True),
    (SCRIPTING, "DisableActiveContent", True),
    (SCRIPTING, "DisableMacrosExecution", True),
    (SCRIPTING, "MacroSecurityLevel", 3),
    (SCRIPTING, "DisablePythonRuntime", True),
    (SCRIPTING, "CheckDocumentEvents", True),
    ("/org.openoffice.Office.Writer/Content/Update", "Link", 2),
    ("/org.openoffice.Office.WriterWeb/Content/Update", "Link", 2),
    ("/org.openoffice.Office.Calc/Content/Update", "Link", 2),
    # what the author saw, not what would come out today
    ("/org.openoffice.Office.Writer/Content/Update", "Field", False),
    ("/org.openoffice.Office.Writer/Content/Update", "Chart", False),
    ("/org.openoffice.Office.Calc/Formula/Load", "OOXMLRecalcMode", 1),
    ("/org.openoffice.Office.Calc/Formula/Load", "ODFRecalcMode", 1),
    ("/org.openoffice.Office.Java/VirtualMachine", "Enable", False),
    (INET, "ooInetProxyType", 2),
    (INET, "ooInetHTTPProxyName", NOWHERE),
    (INET, "ooInetHTTPProxyPort", DISCARD),
    (INET, "ooInetHTTPSProxyName", NOWHERE),
    (INET, "ooInetHTTPSProxyPort", DISCARD),
    (INET, "ooInetFTPProxyName", NOWHERE),
    (INET, "ooInetFTPProxyPort", DISCARD),
    (INET, "ooInetNoProxy", ""),
    ("/org.openoffice.Office.Recovery/AutoSave", "Enabled", False),
    ("/org.openoffice.Office.Recovery/RecoveryInfo", "Enabled", False),
    ("/org.openoffice.Office.Common/History", "PickListSize", 0),
    ("/org.openoffice.Office.Common/Misc", "FirstRun", False),
    ("/org.openoffice.Office.Common/Misc", "CrashReport", False),
    ("/org.openoffice.Office.Common/Cache/GraphicManager", "GraphicMemoryLimit", 300_000_000),
    ("/org.openoffice.Setup/Office", "ooSetupInstCompleted", True),
)

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
"""


def write_profile(folder: Path) -> None:
    """Make ``folder`` a fresh hardened profile; whatever was there before goes."""
    user = folder / "user"
    shutil.rmtree(user, ignore_errors=True)
    user.mkdir(parents=True, mode=0o700)
    items = "".join(_item(*setting) for setting in HARDENED)
    (user / "registrymodifications.xcu").write_text(f"{HEAD}{items}</oor:items>\n", encoding="utf-8")


def _item(node: str, name: str, value: bool | int | str) -> str:
    text = str(value).lower() if isinstance(value, bool) else escape(str(value))
    return f'<item oor:path="{node}"><prop oor:name="{name}" oor:op="fuse"><value>{text}</value></prop></item>\n'
