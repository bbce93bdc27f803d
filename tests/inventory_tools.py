"""An own writer of xlsx workbooks and of RVTools exports, made of the standard library only."""

import csv
import datetime as dt
import io
import zipfile
from xml.sax.saxutils import escape

EPOCH = dt.datetime(1899, 12, 30)  # a spreadsheet's day 0
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def letters(place):
    text = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        text = chr(65 + rest) + text
    return text


class Strings:
    def __init__(self):
        self.places = {}

    def place(self, text):
        return self.places.setdefault(text, len(self.places))

    def xml(self):
        items = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in self.places)
        return f'<?xml version="1.0"?><sst xmlns="{_MAIN}" count="{len(self.places)}">{items}</sst>'


def cell_xml(value, reference, strings):
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return f'<c r="{reference}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, (int, float)):
        return f'<c r="{reference}"><v>{value}</v></c>'
    if isinstance(value, dt.datetime):
        days = (value - EPOCH) / dt.timedelta(days=1)
        return f'<c r="{reference}" s="1"><v>{days!r}</v></c>'
    return f'<c r="{reference}" t="s"><v>{strings.place(str(value))}</v></c>'


def sheet_xml(rows, strings):
    parts = [f'<?xml version="1.0"?><worksheet xmlns="{_MAIN}"><sheetData>']
    for number, row in enumerate(rows, 1):
        cells = "".join(cell_xml(value, f"{letters(place)}{number}", strings) for place, value in enumerate(row))
        parts.append(f'<row r="{number}">{cells}</row>')
    parts.append("</sheetData></worksheet>")
    return "".join(parts)


def write_xlsx(path, sheets, parts=None, level=1):
    """Write {sheet: rows}; `parts` replaces or adds parts of the zip, for hostile workbooks."""
    strings = Strings()
    content = {"[Content_Types].xml": _TYPES}
    content["_rels/.rels"] = (
        f'<?xml version="1.0"?><Relationships xmlns="{_PACKAGE}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    )
    names = "".join(
        f'<sheet name="{escape(name)}" sheetId="{place}" r:id="r{place}"/>' for place, name in enumerate(sheets, 1)
    )
    content["xl/workbook.xml"] = (
        f'<?xml version="1.0"?><workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{names}</sheets></workbook>'
    )
    targets = "".join(
        f'<Relationship Id="r{place}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{place}.xml"/>'
        for place in range(1, len(sheets) + 1)
    )
    content["xl/_rels/workbook.xml.rels"] = (
        f'<?xml version="1.0"?><Relationships xmlns="{_PACKAGE}">{targets}'
        f'<Relationship Id="s1" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
        f'<Relationship Id="t1" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>'
    )
    content["xl/styles.xml"] = (
        f'<?xml version="1.0"?><styleSheet xmlns="{_MAIN}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>'
    )
    for place, rows in enumerate(sheets.values(), 1):
        content[f"xl/worksheets/sheet{place}.xml"] = sheet_xml(rows, strings)
    content["xl/sharedStrings.xml"] = strings.xml()
    content |= parts or {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return path


def csv_text(rows, delimiter=",", end="\r\n", quote=csv.QUOTE_ALL):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quote)
    for row in rows:
        cells = [value.strftime("%Y/%m/%d %H:%M:%S") if isinstance(value, dt.datetime) else value for value in row]
        writer.writerow("" if value is None else value for value in cells)
    return text.getvalue()


DAY = dt.datetime(2026, 1, 31, 9, 30)
# Two desktops with one snapshot each, a template, two LUNs of two hosts: numbers chosen so that sums are easy.
TABS = {
    "vInfo": [
        ["VM", "Powerstate", "Template", "Creation date", "Memory", "Provisioned MiB", "In Use MiB", "Unshared MiB",
         "Path", "Host", "VM UUID", "VI SDK Server"],
        ["VDI-1", "poweredOn", "False", DAY, 4096, 45056, 30000, 29000, "[lun 1] VDI-1/VDI-1.vmx", "esx1", "u1", "vc"],
        ["VDI-2", "poweredOff", "False", DAY, 4096, 45056, 21000, 20000, "[lun 1] VDI-2/VDI-2.vmx", "esx2", "u2", "vc"],
        ["12345", "poweredOff", "True", DAY, 4096, 40960, 20480, 20480, "[lun 2] gold/gold.vmx", "esx1", "u3", "vc"],
    ],
    "vDisk": [
        ["VM", "Disk", "Disk Key", "Capacity MiB", "Raw", "Disk Mode", "Thin", "Unit #", "Path"],
        ["VDI-1", "Hard disk 1", 2000, 40960, "False", "persistent", "True", 0, "[lun 1] VDI-1/VDI-1-000001.vmdk"],
        ["VDI-2", "Hard disk 1", 2000, 40960, "False", "persistent", "True", 0, "[lun 1] VDI-2/VDI-2-000001.vmdk"],
    ],
    "vSnapshot": [
        ["VM", "Powerstate", "Name", "Date / time", "Size MiB (vmsn)", "Size MiB (total)", "Quiesced", "VM UUID"],
        ["VDI-1", "poweredOn", "base", DAY, 0.5, 20480.5, "False", "u1"],
        ["VDI-2", "poweredOff", "base", DAY, 0.5, 20480.5, "False", "u2"],
    ],
    "vDatastore": [
        ["Name", "Type", "# VMs total", "# VMs", "Capacity MiB", "Provisioned MiB", "In Use MiB", "Free MiB", "Free % ",
         "# Hosts", "Hosts", "Block size", "Major Version", "Version", "VMFS Upgradeable"],
        ["lun 1", "VMFS", 2, 2, 512000, 90112, 51200, 460800, 90, 2, "esx1, esx2", 1, 6, "6.82", "False"],
        ["nfs", "NFS", 0, 0, 1024000, 0, 0, 1024000, 100, 1, "esx1", 0, "", "", ""],
    ],
    "vHost": [
        ["Host", "Cluster", "# VMs", "# CPU", "# Cores", "Speed", "# Memory", "ATS Heartbeat", "ATS Locking",
         "ESX Version", "Boot time"],
        ["esx1", "c1", 2, 2, 32, 2600, 524287, "True", "True", "VMware ESXi 8.0.2", DAY],
        ["esx2", "c1", 1, 2, 32, 2600, 524287, "True", "False", "VMware ESXi 8.0.2", DAY],
    ],
    "vPartition": [
        ["VM", "Disk", "Capacity MiB", "Consumed MiB", "Free MiB", "Free %"],
        ["VDI-1", "C:\\", 40959, 20480, 20479, 50],
    ],
    "vMetaData": [
        ["RVTools major version", "RVTools version", "xlsx creation datetime", "Server"],
        [4.7, "4.7.1.4", DAY, "vc"],
    ],
}  # fmt: skip
FILES = [
    ["Friendly Path Name", "File Name", "File Type", "File Size in bytes", "Path"],
    ["[lun 1] VDI-1/", "VDI-1-000001-sesparse.vmdk", "VmDiskFileInfo", 3 * 2**30, "[lun 1] VDI-1/"],
    ["[lun 1] VDI-1/", "VDI-1-000001.vmdk", "VmDiskFileInfo", 400, "[lun 1] VDI-1/"],
    ["[lun 1] VDI-1/", "VDI-1-flat.vmdk", "VmDiskFileInfo", 40 * 2**30, "[lun 1] VDI-1/"],
    ["[lun 1] VDI-1/", "VDI-1.vmx", "VmConfigFileInfo", 3000, "[lun 1] VDI-1/"],
    ["[lun 1] gone/", "gone-000002-delta.vmdk", "VmDiskFileInfo", 16984064, "[lun 1] gone/"],
]
