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
# older snapshot. If store.json is damaged, the kit stands in for it. If no trust list is
# left either, nothing tells whose the snapshots are: UNVERIFIED=yes in the environment
# takes the keys that the manifests themselves name. Run it as root to get owners and devices back. docs/format.md
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
[ -f "$store/store.json" ] || [ -d "$store/h" ] || die 10 "$store is no store: it has no store.json"
[ -r "$kit" ] || die 64 "cannot read the kit $kit"
store=$(realpath -- "$store")

work=$(mktemp -d "${TMPDIR:-/tmp}/recover.XXXXXXXX")
trap 'rm -rf -- "$work"' EXIT
mkdir "$work"/{blobs,own,mode,time}

# ---- who signs what -------------------------------------------------------------

# signed FILE NAMESPACE KEY: FILE is a line and an SSH signature over it by that key. The
# line is then in $work/line.
signed() {
  [[ $3 =~ ^ssh-ed25519\ [A-Za-z0-9+/=]+$ ]] || return 1
  head -n 1 "$1" >"$work/line"
  tail -n +2 "$1" >"$work/sig"
  printf 'signer namespaces="%s" %s\n' "$2" "$3" >"$work/signers"
  ssh-keygen -Y verify -f "$work/signers" -I signer -n "$2" -s "$work/sig" <"$work/line" >/dev/null 2>&1
}

# signer FILE: the key that the signature in FILE says it is of. Anybody can sign.
signer() {
  printf 'ssh-ed25519 %s' "$(tail -n +2 "$1" | sed '1d;$d' | base64 -di 2>/dev/null | tail -c +15 | head -c 51 | base64 -w 0)"
}

# fingerprint KEY: as ssh-keygen -l prints it; nothing for what is no key.
fingerprint() {
  local text
  printf '%s\n' "$1" >"$work/key.pub"
  text=$(ssh-keygen -lf "$work/key.pub" 2>/dev/null) && read -r _ text _ <<<"$text" && printf '%s' "$text"
}

# matches FILE FILTER [JQ-ARGUMENTS]: the document satisfies the filter and is of this version.
matches() {
  local file=$1 filter=$2
  shift 2
  jq -e "$@" "(.v == 1 and .required == []) and ($filter)" "$file" >/dev/null 2>&1
}

# is FILE FILTER WHAT [JQ-ARGUMENTS]: dies if it does not match.
is() {
  local file=$1 filter=$2 what=$3
  shift 3
  matches "$file" "$filter" "$@" ||
    die 13 "$what: another object stands there, or it needs a newer version of this script"
}

sum() { local s; s=$(sha256sum <"$1") && echo "${s%% *}"; }

# numbered FILE: it has the name of a trust list, manifest or gc object. The ten digits are then
# in $number.
numbered() {
  number=${1##*/} number=${number%%[.-]*}
  [[ -f $1 && $number =~ ^[0-9]{10}$ ]]
}

# fits FILE: if its name has a part of its SHA-256, that is right.
fits() {
  [[ ! ${1##*/} =~ ^[0-9]{10}-([^.]*) || $(sum "$1") == "${BASH_REMATCH[1]}"* ]]
}

owner='' store_id=''
: >"$work/identities"
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
  '# owner: SHA256:'*) owner=${line#\# owner: } ;;
  '# store: '*) store_id=${line#\# store: } ;;
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

# The owner's key is the one of that fingerprint, wherever it stands.
owner_key=$(head -n 1 "$store/store.json" 2>/dev/null | jq -r .owner 2>/dev/null) || owner_key=''
if [ -n "$owner_key" ] && [ "$(fingerprint "$owner_key")" = "$owner" ] &&
  signed "$store/store.json" store@vaultik "$owner_key"; then
  is "$work/line" '.type == "store"' store.json
  store_id=$(jq -r .store "$work/line")
elif [ -n "$owner_key" ] && signed "$store/store.json" store@vaultik "$owner_key"; then
  die 13 "store.json: the owner is not $owner, as the kit has it
recover: $kit is the kit of another store, or somebody has exchanged store.json"
else
  echo "recover: store.json is missing or damaged; the kit tells what it said" >&2
  [ -n "$store_id" ] || die 13 "store.json is damaged, and the kit names no store"
  owner_key=''
fi

# The newest trust list is the highest that the owner has signed. What stands at the very
# next number may be a newer one, damaged, with a revocation in it; what stands beyond is
# not of this store.
lists=("$store"/trust/*.json.zst)
trust_seq=0 next='' trust=''
for ((i = ${#lists[@]} - 1; i >= 0; i--)); do
  file=${lists[i]} what=${lists[i]#"$store"/}
  numbered "$file" || continue
  n=$((10#$number))
  [ "$trust_seq" = 0 ] || [ "$trust_seq" = "$n" ] || break
  if fits "$file" && zstd -dcq "$file" >"$work/doc" 2>/dev/null; then
    key=$owner_key
    if [ -z "$key" ]; then key=$(signer "$work/doc"); fi
    if [ "$(fingerprint "$key")" = "$owner" ] && signed "$work/doc" trust@vaultik "$key"; then
      if matches "$work/line" '.type == "trust" and .store == $s and .seq == $n' \
        --arg s "$store_id" --argjson n "$n"; then
        if [ "$trust_seq" = 0 ]; then
          mv "$work/line" "$work/trust"
          owner_key=$key trust_seq=$n trust=$file
        elif ! cmp -s "$trust" "$file"; then
          die 13 "the owner has signed two trust lists of one number: ${trust#"$store"/}, $what
recover: move the one that does not count out of the store"
        fi
        continue
      fi
      is "$work/line" '.type == "trust" and .store == $s' "$what" --arg s "$store_id"
    fi
  fi
  echo "recover: left out: $what: the owner has not signed it, or it is damaged" >&2
  [ "$trust_seq" != 0 ] || next=$n
done
unverified=false
if [ "${UNVERIFIED:-}" = yes ]; then
  unverified=true
  echo "recover: UNVERIFIED: NOBODY VOUCHES FOR WHAT IS RESTORED: anybody who can write to the store can have made it" >&2
elif [ "$trust_seq" = 0 ]; then
  die 13 "there is no trust list that the owner has signed
recover: vaultik store repair-head --kit $kit writes a new one; or, if nobody else can have
recover: written to the store, go on without: UNVERIFIED=yes $0 ..."
elif [ "$next" = $((trust_seq + 1)) ]; then
  die 13 "$(printf 'trust/%010d.json.zst' "$next"): damaged: it may say that a host is not to be trusted
recover: put it back from another copy; if you never wrote one of that number, remove it"
fi

# host_key HOST: the key that may sign its manifests, in $REPLY; empty if there is none.
host_key() {
  REPLY=''
  [ "$trust_seq" = 0 ] ||
    REPLY=$(jq -r --arg h "$1" '.hosts[] | select(.host == $h and (.roles | index("write"))) | .key' "$work/trust")
}

# whole HOST SET FILE: FILE is a manifest of that host and set, under its name. Its JSON is
# then in $work/manifest.
whole() {
  local number
  numbered "$3" && fits "$3" && zstd -dcq "$3" >"$work/doc" 2>/dev/null || return 1
  host_key "$1"
  if [ -z "$REPLY" ] && $unverified; then
    REPLY=$(signer "$work/doc")
  fi
  signed "$work/doc" manifest@vaultik "$REPLY" || return 1
  mv "$work/line" "$work/manifest"
  matches "$work/manifest" '.type == "manifest" and .store == $s and .host == $h and .set == $set and .seq == $n' \
    --arg s "$store_id" --arg h "$1" --arg set "$2" --argjson n "$((10#$number))"
}

# pruned HOST: what the newest gc objects about a host say, a line each, in $work/gc. They are
# those of the highest number that a pruner has signed; several if two have not seen each other.
pruned() {
  local files=("$store/gc/$1"/*.json.zst) i file number top='' key
  : >"$work/gc"
  [ "$trust_seq" != 0 ] || return 0
  for ((i = ${#files[@]} - 1; i >= 0; i--)); do
    file=${files[i]}
    numbered "$file" || continue
    [ "${top:-$number}" = "$number" ] || break
    if fits "$file" && zstd -dcq "$file" >"$work/doc" 2>/dev/null; then
      while read -r key; do
        if signed "$work/doc" gc@vaultik "$key" &&
          matches "$work/line" '.type == "gc" and .store == $s and .host == $h and .seq == $n' \
            --arg s "$store_id" --arg h "$1" --argjson n "$((10#$number))"; then
          cat "$work/line" >>"$work/gc"
          top=$number
          continue 2
        fi
      done < <(jq -r --arg h "$1" --arg sum "$(sum "$file")" '.hosts[] | select((.roles | index("prune")) and
        ((has("revoked") | not) or any(.until.gc[]?; .host == $h and .sum == $sum))) | .key' "$work/trust")
    fi
    echo "recover: left out: ${file#"$store"/}: damaged, or not signed by a pruner" >&2
  done
}

# dropped FILE: prune says that it is none of the chain.
dropped() {
  jq -s -e --arg s "$(sum "$1")" 'any(.[].dropped[]; .sum == $s)' "$work/gc" >/dev/null
}

# stands HOST SET FILE: its host's key is not revoked, or what the owner lets stand of it
# leads down to FILE, by each other or by what was pruned.
stands() {
  local want seq prev file
  [ "$trust_seq" != 0 ] || return 0
  jq -e --arg h "$1" '.hosts[] | select(.host == $h) | has("revoked")' "$work/trust" >/dev/null || return 0
  read -r seq want < <(jq -r --arg h "$1" --arg set "$2" '.hosts[] | select(.host == $h) |
    (.until.sets // [])[] | select(.set == $set) | "\(.seq) \(.sum)"' "$work/trust") || return 1
  while [ "$seq" -gt 0 ]; do
    prev=''
    for file in "$store/h/$1/m/$2/$(printf %010d "$seq")"[.-]*; do
      [ -f "$file" ] && [ "$(sum "$file")" = "$want" ] || continue
      [ "$file" != "$3" ] || return 0
      prev=$(zstd -dcq "$file" | head -n 1 | jq -r '.prev // ""')
    done
    if [ -z "$prev" ]; then
      read -r seq prev < <(jq -r --arg set "$2" --argjson n "$seq" --arg sum "$want" '.pruned[] |
        select(.set == $set and .to == $n and .sum == $sum) | "\(.from) \(.prev // "")"' "$work/gc") || return 1
      [ -n "$prev" ] || return 1
    fi
    want=$prev seq=$((seq - 1))
  done
  return 1
}

# load HOST SET FILE: checks the root that a manifest names; their JSON is then in
# $work/manifest and $work/root.
load() {
  local root what
  whole "$@" || die 13 "${3#"$store"/}: damaged, or not signed by its host"
  root=$(jq -r .root.name "$work/manifest")
  what=h/$1/r/$root.age
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

# newest HOST SET: the manifest with the highest seq that its host has signed, or the one
# wanted, in $REPLY; empty if there is none. What stands behind it is left out, but not
# silently: right behind it may be a newer one, damaged.
newest() {
  local files=("$store/h/$1/m/$2"/*.json.zst) i file number seq next='' why
  pruned "$1"
  for ((i = ${#files[@]} - 1; i >= 0; i--)); do
    file=${files[i]}
    numbered "$file" || continue
    seq=$number
    if [ -n "$want_seq" ] && [ "$seq" != "$(printf %010d "$want_seq")" ]; then continue; fi
    why='damaged, or not signed by its host'
    if dropped "$file"; then
      why='prune has dropped it'
    elif whole "$1" "$2" "$file"; then
      if stands "$1" "$2" "$file"; then
        if [ "$next" = $((10#$seq + 1)) ]; then
          die 13 "h/$1/m/$2/$(printf %010d "$next"): the newest snapshot, damaged, or a stranger's object
recover: to take the one before it: $0 STORE_DIR KIT OUT_DIR $1 $2 $((10#$seq))"
        fi
        if [ "$i" -gt 0 ] && numbered "${files[i - 1]}" && [ "$number" = "$seq" ] &&
          ! cmp -s "$file" "${files[i - 1]}" && ! dropped "${files[i - 1]}" && whole "$1" "$2" "${files[i - 1]}"; then
          echo "recover: there are two snapshots $((10#$seq)): this takes ${file#"$store"/} and not ${files[i - 1]##*/}" >&2
        fi
        REPLY=$file
        return
      fi
      why='signed with a revoked key'
    fi
    echo "recover: left out: ${file#"$store"/}: $why" >&2
    left_out=true
    [[ $why != damaged* ]] || next=$((10#$seq))
  done
  REPLY=''
  # The only one that there may have been of this set.
  [ "$next" != 1 ] || echo "recover: set $2 of host $1 may have had a snapshot, which is damaged" >&2
}

choices=() newest=() left_out=false
for dir in "$store"/h/*/m/*/; do
  [ -d "$dir" ] || continue
  set=${dir%/} set=${set##*/}
  host=${dir#"$store"/h/} host=${host%%/*}
  [ "${want_host:-$host}" = "$host" ] && [ "${want_set:-$set}" = "$set" ] || continue
  host_key "$host"
  if [ -n "$REPLY" ] || $unverified; then
    newest "$host" "$set"
    [ -z "$REPLY" ] || choices+=("$host $set") newest+=("$REPLY")
  fi
done
if [ ${#choices[@]} = 0 ]; then
  ! $left_out || die 13 "none of the snapshots asked for is whole and signed by a host that the owner trusts"
  die 1 "no such snapshot in $store"
fi
if [ ${#choices[@]} -gt 1 ]; then
  echo "recover: several snapshots; give HOST, SET and perhaps SEQ:" >&2
  for i in "${!choices[@]}"; do
    read -r host set <<<"${choices[i]}"
    load "$host" "$set" "${newest[i]}"
    jq -r '"  \(.host) \(.set) \(.seq)   \(.started)  \(.hostname | tojson)  \(.setname | tojson)"' "$work/root" >&2
  done
  exit 64
fi
read -r host set <<<"${choices[0]}"
load "$host" "$set" "${newest[0]}"
if $unverified; then
  echo "recover: signed by $(fingerprint "$REPLY"), which says that it is host $host" >&2
fi

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
