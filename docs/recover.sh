#!/usr/bin/env bash
# Rebuilds the files of a snapshot from a Vaultik store without Vaultik: by age, zstd,
# jq, ssh-keygen, coreutils and bash. Extended attributes need setfattr as well.
# The post-quantum key that `vaultik init` makes needs age 1.3 or newer, which Debian 12,
# for instance, does not have; if it is missing, this script says how to get it. Any age
# will do for an X25519 key, which `vaultik init --recipient` takes.
#
#   recover.sh STORE_DIR KIT OUT_DIR [HOST [SET [SEQ]]]
#
# KIT is the recovery kit that `vaultik init` made. If your identity is not in it, name
# its file in the environment: IDENTITY=file. OUT_DIR must be empty or not there. With
# several hosts or sets in the store, and none chosen, it lists them. SEQ chooses an
# older snapshot. Run it as root to get owners and devices back. docs/format.md
# explains each step. Decrypted pieces of up to 1 GiB pass through $TMPDIR.
#
# Every byte is checked before it is used: the owner's key against the kit, the
# trust list against the owner, the manifest against the trust list, each object against
# the manifest. Not restored: inode flags (chattr), sockets.
#
# Exit: 0 all restored, 1 failed, 3 some entries failed and are listed, 10 no store, 12 no
# identity opens the snapshot, 13 something is damaged or not signed as it should be,
# 64 wrong usage, 69 a program is missing or too old.
set -euo pipefail
export LC_ALL=C # names are bytes
umask 077

die() { printf 'recover: %s\n' "$2" >&2; exit "$1"; }
usage() { echo "usage: recover.sh STORE_DIR KIT OUT_DIR [HOST [SET [SEQ]]]" >&2; exit 64; }

if [ $# -lt 3 ] || [ $# -gt 6 ]; then usage; fi
missing=() packages=()
for tool in zstd jq ssh-keygen:openssh-client {sha256sum,base64,dd}:coreutils; do
  command -v "${tool%:*}" >/dev/null || { missing+=("${tool%:*}"); packages+=("${tool#*:}"); }
done
[ ${#missing[@]} = 0 ] || die 69 "not installed: ${missing[*]}
recover: install it; on Debian and Ubuntu: sudo apt-get install ${packages[*]}"
store=${1#file://} kit=$2 out=$3 want_host=${4:-} want_set=${5:-} want_seq=${6:-}
[ -f "$store/store.json" ] || die 10 "$store is no store: it has no store.json"
[ -r "$kit" ] || die 64 "cannot read the kit $kit"
store=$(realpath -- "$store")

work=$(mktemp -d "${TMPDIR:-/tmp}/recover.XXXXXXXX")
trap 'rm -rf -- "$work"' EXIT
mkdir "$work"/{blobs,own,mode,time}

# ---- who signs what -------------------------------------------------------------

# verify FILE NAMESPACE KEY WHAT: FILE is a line and an SSH signature over it. The
# line is then in $work/line.
verify() {
  [[ $3 =~ ^ssh-ed25519\ [A-Za-z0-9+/=]+$ ]] || die 13 "$4: malformed key"
  head -n 1 "$1" >"$work/line"
  tail -n +2 "$1" >"$work/sig"
  printf 'signer namespaces="%s" %s\n' "$2" "$3" >"$work/signers"
  ssh-keygen -Y verify -f "$work/signers" -I signer -n "$2" -s "$work/sig" <"$work/line" >/dev/null 2>&1 ||
    die 13 "$4: the signature does not fit"
}

# is FILE FILTER WHAT [JQ-ARGUMENTS]: the document must satisfy the filter and be of this version.
is() {
  local file=$1 filter=$2 what=$3
  shift 3
  jq -e "$@" "(.v == 1 and .required == []) and ($filter)" "$file" >/dev/null ||
    die 13 "$what: another object stands there, or it needs a newer version of this script"
}

sum() { local s; s=$(sha256sum <"$1") && echo "${s%% *}"; }

owner=''
: >"$work/identities"
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
  '# owner: SHA256:'*) owner=${line#\# owner: } ;;
  AGE-*) printf '%s\n' "$line" >>"$work/identities" ;;
  esac
done <"$kit"
[ -n "$owner" ] || die 64 "$kit names no owner: it is no recovery kit"
if [ -n "${IDENTITY:-}" ]; then cat -- "$IDENTITY" >>"$work/identities"; fi
[ -s "$work/identities" ] || die 64 "$kit holds no identity: name its file in IDENTITY"

# fitting_age: there must be an age that knows the kinds of key in $work/identities. To
# find out, it encrypts nothing to a key of zeros, which is nobody's: with the user's own
# key a damaged one would look like an old age. Distributions name versions as they like.
fitting_age() {
  local age
  age=$(command -v age) || age=''
  if ! grep -q ^AGE-SECRET-KEY-PQ-1 "$work/identities"; then
    [ -n "$age" ] || die 69 "age is not installed
recover: any version opens this key; on Debian and Ubuntu: sudo apt-get install age"
    return 0
  fi
  echo AGE-SECRET-KEY-PQ-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQAE0WQE >"$work/probe"
  if [ -z "$age" ]; then
    age='age is not installed, and'
  elif age -e -i "$work/probe" </dev/null >/dev/null 2>&1; then
    return 0
  else
    age="$age, version $(age --version 2>/dev/null || echo unknown), is too old:"
  fi
  die 69 "$age a post-quantum key needs age 1.3 or newer
recover: get the program for your system from https://filippo.io/age, for instance:
recover:   curl -L 'https://dl.filippo.io/age/latest?for=linux/amd64' | tar xz && PATH=\$PWD/age:\$PATH
recover: or build it with Go 1.21 or newer:
recover:   go install filippo.io/age/cmd/...@latest && PATH=\$(go env GOPATH)/bin:\$PATH
recover: or see whether your distribution, or its backports, has it by now: apt-cache policy age"
}
fitting_age

head -n 1 "$store/store.json" >"$work/store"
owner_key=$(jq -r .owner "$work/store")
printf '%s\n' "$owner_key" >"$work/owner.pub"
fingerprint=$(ssh-keygen -lf "$work/owner.pub" 2>/dev/null) || die 13 "store.json: malformed owner"
[[ $fingerprint == *" $owner "* ]] ||
  die 13 "store.json: the owner is not $owner, as the kit has it
recover: $kit is the kit of another store, or somebody has exchanged store.json"
verify "$store/store.json" store@vaultik "$owner_key" store.json
is "$work/store" '.type == "store"' store.json
store_id=$(jq -r .store "$work/store")

prev='' n=0
for file in "$store"/trust/*.json.zst; do
  n=$((n + 1)) what=${file#"$store"/}
  [ -f "$file" ] || die 13 "there is no trust list"
  zstd -dcq "$file" >"$work/doc" || die 13 "$what: damaged"
  verify "$work/doc" trust@vaultik "$owner_key" "$what"
  mv "$work/line" "$work/trust"
  is "$work/trust" '.type == "trust" and .store == $s and .seq == $n and (.prev // "") == $p' "$what" \
    --arg s "$store_id" --argjson n "$n" --arg p "$prev"
  [[ $what == "$(printf 'trust/%010d.json.zst' "$n")" ]] || die 13 "$what: stands under a wrong name"
  prev=$(sum "$file")
done

# load HOST SET FILE: checks a manifest and the root it names; their JSON is then in
# $work/manifest and $work/root.
load() {
  local host=$1 set=$2 file=$3 what=${3#"$store"/} key root seq
  key=$(jq -r --arg h "$host" '.hosts[] | select(.host == $h and (.roles | index("write"))) | .key' "$work/trust")
  [ -n "$key" ] || die 13 "$what: the owner does not trust host $host"
  zstd -dcq "$file" >"$work/doc" || die 13 "$what: damaged"
  verify "$work/doc" manifest@vaultik "$key" "$what"
  mv "$work/line" "$work/manifest"
  seq=${file##*/} seq=${seq%%[.-]*}
  is "$work/manifest" '.type == "manifest" and .store == $s and .host == $h and .set == $set and .seq == $n' "$what" \
    --arg s "$store_id" --arg h "$host" --arg set "$set" --argjson n "$((10#$seq))"
  # A key that was revoked later counts for what it signed before.
  jq -e --slurpfile m "$work/manifest" --arg h "$host" \
    '.hosts[] | select(.host == $h) | (.revoked // "9999") > $m[0].time' "$work/trust" >/dev/null ||
    die 13 "$what: signed by a key that was revoked"
  root=$(jq -r .root.name "$work/manifest")
  what=h/$host/r/$root.age
  [ "$(sum "$store/$what" 2>/dev/null)" = "$root" ] || die 13 "$what: missing or damaged"
  # Through a pipe, not a file: a plugin may ask its user to touch a key.
  age -d -i "$work/identities" "$store/$what" 2>&1 >"$work/doc" | tee "$work/said" >&2 ||
    if grep -q 'no identity matched' "$work/said"; then
      die 12 "$what: none of the identities opens it: it is encrypted to another key
recover: name the file of that key's identity: IDENTITY=FILE $0 STORE_DIR KIT OUT_DIR"
    else
      die 12 "$what: age could not use the identities and says why above; are they complete?"
    fi
  zstd -dcq "$work/doc" >"$work/root" || die 13 "$what: damaged"
  is "$work/root" '.type == "root" and .store == $m[0].store and .host == $m[0].host and .set == $m[0].set and .seq == $m[0].seq' \
    "$what" --slurpfile m "$work/manifest"
}

# newest HOST SET: the file of the manifest with the highest seq, or the one wanted.
newest() {
  local file last=''
  for file in "$store/h/$1/m/$2"/*.json.zst; do
    [ -f "$file" ] || continue
    if [ -n "$want_seq" ] && [[ ${file##*/} != "$(printf %010d "$want_seq")"[.-]* ]]; then continue; fi
    last=$file
  done
  printf '%s' "$last"
}

choices=()
for dir in "$store"/h/*/m/*/; do
  [ -d "$dir" ] || continue
  set=${dir%/} set=${set##*/}
  host=${dir#"$store"/h/} host=${host%%/*}
  if [ "${want_host:-$host}" = "$host" ] && [ "${want_set:-$set}" = "$set" ] && [ -n "$(newest "$host" "$set")" ]; then
    choices+=("$host $set")
  fi
done
[ ${#choices[@]} -gt 0 ] || die 1 "no such snapshot in $store"
if [ ${#choices[@]} -gt 1 ]; then
  echo "recover: several snapshots; give HOST, SET and perhaps SEQ:" >&2
  for choice in "${choices[@]}"; do
    read -r host set <<<"$choice"
    load "$host" "$set" "$(newest "$host" "$set")"
    jq -r '"  \(.host) \(.set) \(.seq)   \(.started)  \(.hostname | tojson)  \(.setname | tojson)"' "$work/root" >&2
  done
  exit 64
fi
read -r host set <<<"${choices[0]}"
load "$host" "$set" "$(newest "$host" "$set")"

# ---- the objects of the snapshot ------------------------------------------------

# Epoch keys open blobs that were sealed before the identity became a recipient.
while read -r name n want; do
  file=$store/h/$host/k/$name/$n.age
  if [ "$(sum "$file" 2>/dev/null)" = "$want" ] && age -d -i "$work/identities" "$file" >"$work/doc" 2>/dev/null; then
    cat "$work/doc" >>"$work/identities"
  else
    echo "recover: epoch key $name is missing, damaged or closed to this identity; going on without" >&2
  fi
done < <(jq -r '.keys[] | "\(.epoch) \(.n) \(.sha256)"' "$work/manifest")
fitting_age # a hardware key needs only its plugin, but its epoch keys may be post-quantum

: >"$work/names"
while read -r name; do
  [ "$(sum "$store/h/$host/l/$name.zst" 2>/dev/null)" = "$name" ] || die 13 "blob list $name: missing or damaged"
  zstd -dcq "$store/h/$host/l/$name.zst" >"$work/doc" || die 13 "blob list $name: damaged"
  tail -n +2 "$work/doc" | jq -r '.[0]' >>"$work/names"
done < <(jq -r '.lists[].name' "$work/manifest")
jq -r '.blobs[][0]' "$work/manifest" >>"$work/names"

declare -A good # blobs that are there and whole
while read -r name; do
  good[$name]=1
  printf '%s  h/%s/b/%s/%s\n' "$name" "$host" "${name:0:2}" "$name"
done <"$work/names" >"$work/sums"
while IFS= read -r line; do # "path: FAILED", or "path: FAILED open or read"
  name=${line%%: FAILED*} name=${name##*/}
  echo "recover: blob $name is missing or damaged" >&2
  good[$name]=''
done < <([ ! -s "$work/sums" ] || (cd "$store" && sha256sum -c --quiet --strict "$work/sums" 2>/dev/null))

# ---- chunks ---------------------------------------------------------------------

cached=()
# open_blob NAME: decrypts it to $work/blobs, which holds 64 of them at most.
open_blob() {
  [ ! -f "$work/blobs/$1" ] || return 0
  [ -n "${good[$1]:-}" ] || return 1
  if [ ${#cached[@]} -ge 64 ]; then
    rm -- "$work/blobs/${cached[0]}"
    cached=("${cached[@]:1}")
  fi
  age -d -i "$work/identities" -o "$work/blobs/$1" "$store/h/$host/b/${1:0:2}/$1" || return 1
  cached+=("$1")
}

current=''
# chunk BLOB FRAME_OFFSET FRAME_LENGTH OFFSET LENGTH: prints a chunk. The frame
# stays, since small files that follow each other share it.
chunk() {
  if [ "$current" != "$1:$2" ]; then
    current=''
    open_blob "$1" || return 1
    dd if="$work/blobs/$1" iflag=skip_bytes,count_bytes skip="$2" count="$3" bs=1M status=none |
      zstd -dcq >"$work/frame" || return 1
    current=$1:$2
  fi
  dd if="$work/frame" iflag=skip_bytes,count_bytes skip="$4" count="$5" bs=1M status=none
}

# pages: reads references, one a line; prints the pages, each behind a line that names
# the blob it is in. Not for a pipe: chunk remembers, which a subshell cannot.
pages() {
  local b fo fl o l
  while IFS=: read -r b fo fl o l; do
    printf '{"holder":"%s"}\n' "$b"
    chunk "$b" "$fo" "$fl" "$o" "$l" || { lost=$((lost + 1)) && echo "recover: a page in blob $b is lost, and what it lists" >&2; }
  done
}
lost=0

# Of pages, jq prints branches as "P" and a reference, entries as "E" and their fields,
# xattrs as "X", name and value; joined by the byte 0x1F, which no text in a page has.
# Text is behind ":", or in base64 behind "@".
common='
  def lines: foreach inputs as $l ({};
      if ($l | type) == "object" and ($l | has("holder")) then {holder: $l.holder}
      elif ($l | type) == "object" and ($l | has("kind")) then
        if $l.v != 1 or $l.required != [] then error("a page needs a newer version of this script") else . end
        | .holder as $h | {holder: $h, blobs: [$l.blobs[] | if . == "self" then $h else .[0] end]}
      else .line = $l end;
    select(has("line")));
  def text($k): if has($k + "64") then "@" + .[$k + "64"] elif has($k) then ":" + .[$k] else "" end;
  def xattr: "X\u001f" + (if length == 3 then "@" + .[2] else ":" + .[0] end) + "\u001f" + .[1];
  def ref($b): if length == 1 then "H:\(.[0])" else "\($b[.[0]]):\(.[1]):\(.[2]):\(.[3]):\(.[4])" end;'
tree="$common"'
  lines | .blobs as $b | .line
  | if has("r") then "P\u001f" + (.r | ref($b)) else
      (["E", text("p"), .type, .mode, .uid, .gid, .size // 0, .mtime, text("target"),
        (.dev // ["", ""])[], .hl // "", .implied // false, .ll // 0,
        ([(.c // [])[] | ref($b)] | join(" ")), ([(.xr // [])[] | ref($b)] | join(" ")),
        (if .hl then [.flags, .x, [((.c // []) + ["xr"] + (.xr // []))[] | .[5]? // .]] | tostring else "" end)]
        | map(tostring) | join("\u001f")),
      ((.x // [])[] | xattr)
    end'
lists="$common"' lines | .blobs as $b | .line | ref($b)'

# ---- the tree, level by level ---------------------------------------------------

jq -r '.top // empty | .blob[0] as $b | .ref | "\($b):\(.[0]):\(.[1]):\(.[2]):\(.[3])"' "$work/root" >"$work/refs"
: >"$work/plan"
while [ -s "$work/refs" ]; do
  pages <"$work/refs" >"$work/pages"
  jq -n -r "$tree" "$work/pages" >"$work/plan" || die 13 "a page is damaged"
  IFS= read -r line <"$work/plan" || line=''
  [[ $line == P* ]] || break
  cut -d $'\x1f' -f 2 "$work/plan" >"$work/refs"
  : >"$work/plan"
done

# ---- the files ------------------------------------------------------------------

mkdir -p -- "$out"
cd -- "$out"
[ -z "$(ls -A)" ] || die 64 "$out is not empty"
root=false
[ "$(id -u)" != 0 ] || root=true
failed=$lost count=0
declare -A dirs         # paths made as directories
declare -A links groups # first name of each file with several; hard-link groups that have one
apart=0                 # names that are not linked to others of their group
dirs_made=() dirs_mode=()
sized=() sizes=()

fail() { failed=$((failed + 1)); printf 'recover: not restored: %q: %s\n' "$1" "$2" >&2; }

# decode VARIABLE TEXT
decode() {
  if [[ $2 == @* ]]; then
    local raw
    raw=$(base64 -d <<<"${2:1}" && printf x)
    printf -v "$1" %s "${raw%x}"
  else
    printf -v "$1" %s "${2:1}"
  fi
}

# flatten REFERENCES LEVEL: replaces references to list pages by those to contents, in $REPLY.
flatten() {
  REPLY=$1
  local level=$2 ref
  for ((; level > 0; level--)); do
    for ref in $REPLY; do echo "$ref"; done >"$work/listrefs"
    lost=0
    pages <"$work/listrefs" >"$work/list"
    [ "$lost" = 0 ] || return 1
    REPLY=$(jq -n -r "$lists" "$work/list") || return 1
  done
}

# contents FILE REFERENCES
contents() {
  local ref IFS=$' \n'
  : >"$1" || return 1
  for ref in $2; do
    case $ref in
    H:*) truncate -s "+${ref:2}" -- "$1" || return 1 ;;
    *)
      IFS=:
      set -- "$1" "$2" $ref
      IFS=$' \n'
      chunk "${@:3}" >>"$1" || return 1
      ;;
    esac
  done
}

# make: one entry, from the variables that the loop below has read. The path is in $path.
make() {
  case $type in
  dir)
    if [ "$path" = . ]; then [ "$implied" = false ] || return 2; return 0; fi
    mkdir -- "$file" || return 1
    ;;
  file)
    if [ "$ll" != 0 ]; then flatten "$refs" "$ll" || return 1; refs=$REPLY; fi
    contents "$file" "$refs" || { rm -f -- "$file"; return 1; }
    sized+=("$file") sizes+=("$size")
    ;;
  symlink) decode target "$target" && ln -s -- "$target" "$file" || return 1 ;;
  fifo) mkfifo -- "$file" || return 1 ;;
  char | block)
    $root || { fail "$path" "only root can make a device"; return 2; }
    mknod -- "$file" "${type:0:1}" "$major" "$minor" || return 1
    ;;
  *) fail "$path" "it is a $type"; return 2 ;;
  esac
}

xpath='' # file that xattrs belong to
xattr() {
  [ -n "$xpath" ] || return 0
  local name
  decode name "$1"
  local p=${xpath//\\/\\134} n=${name//\\/\\134}
  p=${p//$'\n'/\\012} p=${p//$'\r'/\\015} n=${n//$'\n'/\\012} n=${n//$'\r'/\\015} n=${n//=/\\075}
  printf '\n# file: %s\n%s=0s%s\n' "$p" "$n" "$2" >>"$work/xattrs"
}

while IFS=$'\x1f' read -r kind name type mode uid gid size mtime target major minor hl implied ll refs xrefs same; do
  if [ "$kind" = X ]; then xattr "$name" "$type"; continue; fi
  xpath=''
  decode path "$name"
  file=./$path parent=.
  [[ $path != */* ]] || parent=${path%/*}
  case "/$path/" in
  /./) file=. ;;
  *//* | */./* | */../*) fail "$path" "a path that must not be"; continue ;;
  *) [ -n "${dirs["/$parent"]:-}" ] || { fail "$path" "its directory is missing"; continue; } ;;
  esac
  link=''
  if [ -n "$hl" ] && [ "$type" != dir ]; then
    # Names of one group are one file only if all that the snapshot says of them is the same.
    # Where the contents are in list pages these say where they are, not what they are.
    if [ "$ll" != 0 ] && flatten "$refs" "$ll"; then refs=$REPLY ll=0 same=$same$REPLY; fi
    link="$hl $type $mode $uid $gid $size $mtime $target $major $minor $same"
    if [ -n "${links[$link]:-}" ]; then
      ln -P -- "${links[$link]}" "$file" || fail "$path" "cannot be linked"
      continue
    fi
  fi
  [ "$type" != dir ] || dirs["/$path"]=1
  status=0
  make 2>"$work/said" || status=$?
  case $status in
  1) fail "$path" "$(head -c 300 "$work/said")"; [ "$type" != dir ] || dirs["/$path"]=''; continue ;;
  2) cat "$work/said" >&2; continue ;;
  esac
  count=$((count + 1)) xpath=$file
  if [ -n "$link" ]; then
    [ -z "${groups[$hl]:-}" ] || apart=$((apart + 1))
    links[$link]=$file groups[$hl]=1
  fi
  printf '%s\0' "$file" >>"$work/own/+$uid:+$gid"
  printf '%s\0' "$file" >>"$work/time/$mtime"
  printf -v octal %04o "$mode"
  case $type in
  dir) dirs_made+=("$file") dirs_mode+=("$octal") ;;
  symlink) ;;
  *) printf '%s\0' "$file" >>"$work/mode/$octal" ;;
  esac
  if [ -n "$xrefs" ]; then
    for ref in $xrefs; do IFS=: read -r b fo fl o l <<<"$ref"; chunk "$b" "$fo" "$fl" "$o" "$l" || break; done >"$work/xr"
    jq -r "$common"' .[] | xattr' "$work/xr" >"$work/xlines" 2>/dev/null || fail "$path" "its attributes are damaged"
    while IFS=$'\x1f' read -r _ name value; do xattr "$name" "$value"; done <"$work/xlines"
  fi
done <"$work/plan"

# ---- attributes, when nothing below changes any more ------------------------------

# each DIRECTORY COMMAND...: for each file in it, runs the command with its name and
# the paths that it holds.
each() {
  local group dir=$1 batch
  shift
  for group in "$dir"/*; do
    [ -f "$group" ] || continue
    while mapfile -t -d '' -n 500 batch && [ ${#batch[@]} -gt 0 ]; do
      "$@" "${group##*/}" "${batch[@]}" || failed=$((failed + 1))
    done <"$group"
  done
}
own() { local who=$1; shift; chown -h -- "$who" "$@"; }
stamp() { local when=$1; shift; touch -c -h -d "@$when" -- "$@"; }

for ((i = 0; i < ${#sized[@]}; i += 500)); do
  j=$i
  while IFS= read -r size; do
    [ "$size" = "${sizes[j]}" ] || fail "${sized[j]}" "$size bytes, not ${sizes[j]}"
    j=$((j + 1))
  done < <(stat -c %s -- "${sized[@]:i:500}")
done
if $root; then each "$work/own" own; else echo "recover: not root: everything belongs to you" >&2; fi
if [ -s "$work/xattrs" ]; then
  if command -v setfattr >/dev/null; then
    setfattr -h --restore="$work/xattrs" || failed=$((failed + 1))
  else
    echo "recover: there is no setfattr: extended attributes and ACLs are left out" >&2
    failed=$((failed + 1))
  fi
fi
each "$work/time" stamp
each "$work/mode" chmod
for ((i = ${#dirs_made[@]} - 1; i >= 0; i--)); do # below first: a directory may become closed
  chmod -- "${dirs_mode[i]}" "${dirs_made[i]}" || failed=$((failed + 1))
done

[ "$apart" = 0 ] || printf 'recover: %d names of files with several names were not linked to the others, since the snapshot has other contents or attributes for them\n' "$apart" >&2
printf 'recover: %d entries restored, %d problems\n' "$count" "$failed" >&2
[ "$failed" = 0 ] || exit 3
