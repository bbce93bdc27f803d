#!/bin/sh
# Measures how much storage each linked clone of this Proxmox VE node holds, and appends that to a table.
#
#     sh '<script>' [--csv FILE] [--dry-run]
#
# It reads: qm list, pvesm status, /etc/pve/storage.cfg, and for each storage that holds disks: lvs (LVM-thin), zfs list
# (ZFS), rbd ls and rbd du (Ceph), qemu-img info of the overlays (directory, NFS, CIFS, GlusterFS, CephFS).
# It never changes a machine, a disk or a setting, opens no connection of its own, and holds no credentials. What it
# writes: the table, its log (.runs) and a lock (.lock), all beside each other. --dry-run says what would be read, reads
# the configuration only, and writes nothing.
#
# A run appends all its rows or none, and is refused where the newest rows are less than '<hours>' hours old. It ends with
# 0 if rows were appended, 1 if it failed, 2 if it was called wrongly, 3 if it was refused; the log says why.
# Machines that cannot be read are left out and named in the log, up to 5 % of them; with more, nothing is appended.
#
# Columns: clone (name of the machine), date (UTC, one for the whole run), bytes (what its disks hold above the base
# image), lun (storage; of the largest disk), pool (template), kind, files (disks), capacity_bytes (of the guest's disks),
# lun_bytes, lun_used_bytes (the storage's, as pvesm tells them). Kinds:
#     delta   all that is the clone's own: ZFS (with its snapshots), Ceph, overlays
#     mapped  LVM-thin cannot tell a clone's own blocks from those of its base image: this is what is mapped, the
#             image's blocks among it. New blocks show, overwritten ones of the image do not; lun_used_bytes shows both.
#             A clone whose volumes are not active (it is off) has no row.
#
# How to run it '<every>', on each node, as root:
'<schedule>'
#
# Then, on any machine: clonesim fit FILE

set -u
LC_ALL=C
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
export LC_ALL PATH

hours='<hours>'
header='<header>'
most_unread=5
dry=no
config=/etc/pve/storage.cfg
folder=$(cd "$(dirname "$0")" && pwd) || exit 1
node=$(uname -n)
csv="$folder/clonesim-sizes-${node%%.*}.csv"

wrong() {
    printf '%s\n' "$1" "usage: sh $0 [--csv FILE] [--storage-config FILE] [--dry-run]" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry=yes ;;
        --csv | --storage-config)
            [ $# -gt 1 ] || wrong "$1 needs a file."
            if [ "$1" = --csv ]; then csv=$2; else config=$2; fi
            shift
            ;;
        *) wrong "$1 is not known." ;;
    esac
    shift
done
log="${csv%.csv}.runs"
part="$csv.part"

note() {
    # One line of the log: what, why.
    line="$(date -u '+%Y-%m-%dT%H:%M:%SZ') $1: $2"
    printf '%s\n' "$line" >&2
    [ "$dry" = yes ] || printf '%s\n' "$line" >>"$log"
}

fail() {
    note failed "$1; nothing was appended"
    exit 1
}

# What the awk programs below share: a field of a flat JSON object, a number of a volume, whole bytes.
common='
function field(text, key,   at) {
    while ((at = index(text, "\"" key "\"")) > 0) {
        text = substr(text, at + length(key) + 2)
        if (text ~ /^[ \t]*:/) {
            sub(/^[ \t]*:[ \t]*/, "", text)
            if (text ~ /^"/) { text = substr(text, 2); sub(/".*/, "", text) } else sub(/[], \t}].*/, "", text)
            return text == "null" ? "" : text
        }
    }
    return ""
}
function number_of(volume, word) {
    if (!match(volume, word "-[0-9]+-")) return ""
    return substr(volume, RSTART + length(word) + 1, RLENGTH - length(word) - 2)
}
function whole(value) { return sprintf("%.0f", value) }
'

storages() {
    # Active storages that may hold disks: name|type|bytes|used|path|volume group|pool|namespace|monitors|user.
    status=$(pvesm status --content images </dev/null) || fail "pvesm status failed"
    printf '%s\n' "$status" | awk -v config="$config" '
        function close_section() {
            if (id != "") about[id] = path "|" group "|" pool "|" space "|" hosts "|" user
            id = path = group = pool = space = hosts = user = ""
        }
        BEGIN {
            while ((got = (getline line < config)) > 0) {
                if (line ~ /^[a-z]+:[ \t]*[^ \t]+/) {
                    close_section()
                    id = line; sub(/^[a-z]+:[ \t]*/, "", id); sub(/[ \t\r]*$/, "", id)
                    continue
                }
                count = split(line, word, " ")
                if (count < 2) continue
                text = line; sub(/^[ \t]*[^ \t]+[ \t]+/, "", text); sub(/[ \t\r]*$/, "", text)
                if (word[1] == "path") path = text
                if (word[1] == "vgname") group = text
                if (word[1] == "pool") pool = text
                if (word[1] == "namespace") space = text
                if (word[1] == "monhost") { hosts = text; gsub(/[; ]+/, ",", hosts) }
                if (word[1] == "username") user = text
            }
            if (got < 0) exit 4
            close_section()
        }
        NR > 1 && $3 == "active" && ($1 in about) {
            printf "%s|%s|%.0f|%.0f|%s\n", $1, $2, $4 * 1024, $5 * 1024, about[$1]
        }
    ' || fail "$config cannot be read"
}

measure() {
    # Disks of one storage: number of the machine|bytes|capacity|number of the template|kind, or number|!|reason.
    case $type in
        lvmthin) measure_lvm ;;
        zfspool) measure_zfs ;;
        rbd) measure_rbd ;;
        *) measure_files ;;
    esac
}

measure_lvm() {
    text=$(lvs --reportformat json --units b --nosuffix -o lv_name,lv_size,data_percent,origin "$group" </dev/null) ||
        fail "lvs $group failed"
    printf '%s\n' "$text" | tr -d '\n' | tr '{' '\n' | awk "$common"'
        { clone = number_of(field($0, "lv_name"), "vm"); base = number_of(field($0, "origin"), "base") }
        clone != "" && base != "" && field($0, "data_percent") != "" {
            size = field($0, "lv_size")
            print clone "|" whole(size * field($0, "data_percent") / 100) "|" whole(size) "|" base "|mapped"
        }'
}

measure_zfs() {
    text=$(zfs list -Hp -r -t filesystem,volume -o name,usedbydataset,usedbysnapshots,origin,volsize "$pool" </dev/null) ||
        fail "zfs list $pool failed"
    printf '%s\n' "$text" | awk -F '\t' "$common"'
        { count = split($1, name, "/"); clone = number_of(name[count], "vm"); base = number_of($4, "base") }
        clone != "" && base != "" { print clone "|" whole($2 + $3) "|" whole($5 + 0) "|" base "|delta" }'
}

ask_rbd() {
    # External clusters need their monitors and the key ring that Proxmox VE keeps for them; rbd reads it itself.
    set -- "$@" --format json -p "${pool:-rbd}"
    [ -z "$space" ] || set -- "$@" --namespace "$space"
    [ -z "$hosts" ] || set -- "$@" -m "$hosts" -n "client.${user:-admin}" --keyring "/etc/pve/priv/ceph/$id.keyring"
    rbd "$@" </dev/null
}

measure_rbd() {
    parents=$(ask_rbd ls -l) || fail "rbd ls of $id failed"
    used=$(ask_rbd du) || fail "rbd du of $id failed"
    printf '%s\n=\n%s\n' "$(printf '%s' "$parents" | tr -d '\n' | tr '{' '\n')" \
        "$(printf '%s' "$used" | tr -d '\n' | tr '{' '\n')" | awk "$common"'
        $0 == "=" { sizes = 1; next }
        !sizes && child != "" { parent[child] = field($0, "image"); child = "" }
        !sizes && /"parent"[ ]*:[ ]*$/ { child = field($0, "image") }
        sizes && field($0, "used_size") != "" && (field($0, "name") in parent) {
            name = field($0, "name")
            bytes[name] += field($0, "used_size")
            if (field($0, "snapshot") == "") capacity[name] = field($0, "provisioned_size")
        }
        END {
            for (name in bytes) {
                clone = number_of(name, "vm"); base = number_of(parent[name], "base")
                if (clone != "" && base != "") print clone "|" whole(bytes[name]) "|" whole(capacity[name]) "|" base "|delta"
            }
        }'
}

measure_files() {
    printf '%s\n' "$machines" | while read -r number name; do
        for file in "$path/images/$number/vm-$number-"*.qcow2; do
            [ -f "$file" ] || continue
            if text=$(qemu-img info --force-share --output=json "$file" </dev/null); then
                # The image itself is told with four blanks, what lies below it with more.
                printf '%s\n' "$text" | grep '^    "' | tr -d '\n' | awk -v clone="$number" "$common"'
                    { base = number_of(field($0, "backing-filename"), "base") }
                    base != "" {
                        print clone "|" whole(field($0, "actual-size")) "|" whole(field($0, "virtual-size")) "|" base "|delta"
                    }'
            else
                printf '%s|!|qemu-img info %s failed\n' "$number" "$file"
            fi
        done
    done
}

read_all() {
    # Disks of all storages, each with its storage: number|bytes|capacity|template|kind|storage|bytes|used.
    while IFS='|' read -r id type size filled path group pool space hosts user; do
        [ -n "$id" ] || continue
        disks=$(measure) || exit 1
        [ -z "$disks" ] || printf '%s\n' "$disks" | awk -v tail="|$id|$size|$filled" '{ print $0 tail }'
    done <<END
$stores
END
}

rows_of() {
    # Rows of the table; lines that begin with ! name machines that could not be read.
    printf '%s\n=\n%s\n' "$machines" "$disks" | awk -F '|' -v date="$date" "$common"'
        function clean(text) { gsub(/[",\r\n]/, "_", text); return text }
        $0 == "=" { second = 1; next }
        !second {
            split($0, word, " ")
            name[word[1]] = word[2]; same[word[2]]++; order[++count] = word[1]
            next
        }
        !($1 in name) { next }
        $2 == "!" { unread[$1] = $3; next }
        NF == 8 {
            bytes[$1] += $2; capacity[$1] += $3; files[$1]++
            if (!($1 in most) || $2 + 0 > most[$1]) { most[$1] = $2 + 0; base[$1] = $4; lun[$1] = $6 "," $7 "," $8 }
            if (!($1 in kind)) kind[$1] = $5
            else if (kind[$1] != $5) kind[$1] = "delta+mapped"
        }
        END {
            for (k = 1; k <= count; k++) {
                number = order[k]
                shown = name[number]
                if (same[shown] > 1) shown = shown "-" number
                if (number in unread) print "!" shown ": " unread[number]
                else if (number in bytes) {
                    pool = (base[number] in name) ? name[base[number]] : "base-" base[number]
                    split(lun[number], place, ",")
                    print clean(shown) "," date "," whole(bytes[number]) "," clean(place[1]) "," clean(pool) "," kind[number] \
                        "," files[number] "," whole(capacity[number]) "," place[2] "," place[3]
                }
            }
        }'
}

last_second() {
    # Newest date of the table, in seconds since 1970; 0 if there is none.
    awk -F ',' '
        NR > 1 && $2 > last { last = $2 }
        END {
            if (last == "") { print 0; exit }
            split(last, part, /[-T:Z]/)
            year = part[1]; month = part[2] + 0
            if (month <= 2) { year--; month += 12 }
            days = 365 * year + int(year / 4) - int(year / 100) + int(year / 400) + part[3] - 1
            days += int((153 * (month - 3) + 2) / 5)
            printf "%.0f\n", (days - 719468) * 86400 + part[4] * 3600 + part[5] * 60 + part[6]
        }' "$csv"
}

append() {
    if [ -s "$csv" ]; then
        cat "$csv" && { [ -z "$(tail -c 1 "$csv")" ] || echo; } && printf '%s\n' "$rows"
    else
        printf '%s\n' "$header" "$rows"
    fi
}

if [ "$dry" = yes ]; then
    stores=$(storages) || exit 1
    printf '%s\n' "Would run: qm list" "Would run: pvesm status --content images"
    printf '%s\n' "$stores" | while IFS='|' read -r id type size filled path group pool space hosts user; do
        case $type in
            '') ;;
            lvmthin) echo "Would run: lvs of $group, for storage $id" ;;
            zfspool) echo "Would run: zfs list of $pool, for storage $id" ;;
            rbd) echo "Would run: rbd ls and rbd du of ${pool:-rbd}, for storage $id" ;;
            *) echo "Would run: qemu-img info of overlays in $path/images, for storage $id" ;;
        esac
    done
    echo "Would append to: $csv"
    exit 0
fi

case $csv in */*) place=${csv%/*} ;; *) place=. ;; esac
if ! { [ -d "${place:-/}" ] && [ -w "${place:-/}" ]; }; then
    printf '%s\n' "The folder of $csv is not there or cannot be written." >&2
    exit 1
fi
command -v flock >/dev/null || fail "flock (package util-linux) is not installed"
exec 9>>"$csv.lock"
if ! flock -n 9; then
    note refused "another run is going on"
    exit 3
fi
trap 'rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM

now=$(date -u '+%s %Y-%m-%dT%H:%M:%SZ')
date=${now#* }
now=${now%% *}
if [ -s "$csv" ]; then
    [ "$(head -n 1 "$csv")" = "$header" ] || fail "$csv has another header than this script writes; give another --csv"
    last=$(last_second) || fail "$csv cannot be read"
    [ "$last" -le $((now + 3600)) ] || fail "$csv has rows of a later date than now; check the clock"
    if [ $((now - last)) -lt $((hours * 3600)) ]; then
        note refused "the newest rows are $(((now - last) / 3600)) hours old, less than $hours"
        exit 3
    fi
fi

list=$(qm list </dev/null) || fail "qm list failed"
machines=$(printf '%s\n' "$list" | awk 'NR > 1 && $1 ~ /^[0-9]+$/ { print $1 " " $2 }')
stores=$(storages) || exit 1
disks=$(read_all) || exit 1
found=$(rows_of) || fail "the sizes could not be added up"
rows=$(printf '%s\n' "$found" | grep -v '^!' || true)
unread=$(printf '%s\n' "$found" | grep '^!' | cut -c 2- || true)
read_count=$(printf '%s' "$rows" | grep -c '' || true)
unread_count=$(printf '%s' "$unread" | grep -c '' || true)
if [ "$unread_count" -gt 0 ]; then
    shown=$(printf '%s\n' "$unread" | head -n 5 | tr '\n' ';')
    [ $((100 * unread_count)) -le $((most_unread * (read_count + unread_count))) ] ||
        fail "$unread_count of $((read_count + unread_count)) machines could not be read: $shown"
    note unread "$unread_count machines: $shown"
fi
[ "$read_count" -gt 0 ] || fail "no linked clone of a template was found on this node's active storages"
append >"$part" || fail "$part cannot be written"
mv -f "$part" "$csv" || fail "$csv cannot be replaced"
note ok "$read_count rows appended to $csv"
