package keys

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"vaultik/vault/layout"
)

// Kit is what brings everything back when a machine is gone: the secret that
// opens the backups, and the owner's key. It never prints itself.
type Kit struct {
	Identity  string // AGE-SECRET-KEY-...; empty if the identity is kept elsewhere
	Recipient string // public half of Identity; not written, found again when read
	Owner     *Signer
	StoreID   layout.StoreID
	StoreURL  string
	Created   time.Time
}

const (
	kitTitle       = "# Vaultik recovery kit"
	kitCreated     = "# created: "
	kitStore       = "# store: "
	kitURL         = "# store-url: "
	kitOwner       = "# owner: "
	kitOwnerKey    = "# owner-key: "
	kitIdentityMsg = `#
# KEEP THIS FILE SECRET, and away from the machine that is backed up. Without
# it nobody can read the backups, you included. With it anybody can.
#
# It is an age identity file: the secret key is the only line without a "#".
# To restore on any machine, put that line into VAULTIK_AGE_SECRET_KEY and run
#
#     vaultik --store URL snapshots
#     vaultik --store URL restore latest --target DIR
#
# with the URL below, or where the store has moved to. Without Vaultik:
# "age -d -i THIS-FILE OBJECT" opens every encrypted object of the store.
# owner-key signs the list of hosts that may write to the store; owner is its
# fingerprint, by which you know the store again.
#
`
	kitPostQuantumMsg = `# This key is a post-quantum one: age must be version 1.3 or newer, and many
# distributions have an older one. https://filippo.io/age has programs for all
# systems; keep one beside this file.
#
`
	kitNoIdentityMsg = `#
# KEEP THIS FILE SECRET, and away from the machine that is backed up.
#
# The secret key that opens the backups is not in here: it was made elsewhere.
# Without Vaultik, a post-quantum one needs age 1.3 or newer, which many
# distributions lack: see https://filippo.io/age. Any age opens an X25519 one.
# owner-key signs the list of hosts that may write to the store; owner is its
# fingerprint, by which you know the store again.
#
`
)

// FormatKit writes a kit as an age identity file: the identity alone on its
// line, "#" before everything else. Give the file mode 0600.
func FormatKit(k Kit) []byte {
	var b strings.Builder
	b.WriteString(kitTitle + "\n")
	if k.Identity != "" {
		b.WriteString(kitIdentityMsg)
		if strings.HasPrefix(k.Identity, postQuantumPrefix) {
			b.WriteString(kitPostQuantumMsg)
		}
	} else {
		b.WriteString(kitNoIdentityMsg)
	}
	b.WriteString(kitCreated + k.Created.UTC().Format(time.RFC3339) + "\n")
	b.WriteString(kitStore + k.StoreID.String() + "\n")
	b.WriteString(kitURL + oneLine(k.StoreURL) + "\n")
	if k.Owner != nil {
		b.WriteString(kitOwner + k.Owner.Public().Fingerprint() + "\n")
		if text, err := k.Owner.MarshalText(); err == nil {
			b.WriteString(kitOwnerKey + string(text) + "\n")
		}
	}
	if k.Identity != "" {
		b.WriteString("\n" + k.Identity + "\n")
	}
	return []byte(b.String())
}

// oneLine keeps a URL from ending its comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// ParseKit reads what FormatKit wrote. The error, [ErrBadKit], repeats nothing of it.
func ParseKit(text []byte) (Kit, error) {
	var k Kit
	title := false
	var fingerprint string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n \t")
		var err error
		switch {
		case line == kitTitle:
			title = true
		case strings.HasPrefix(line, kitCreated):
			k.Created, err = time.Parse(time.RFC3339, line[len(kitCreated):])
		case strings.HasPrefix(line, kitStore):
			k.StoreID, err = layout.ParseStoreID(line[len(kitStore):])
		case strings.HasPrefix(line, kitURL):
			k.StoreURL = line[len(kitURL):]
			_, err = url.Parse(k.StoreURL)
		case strings.HasPrefix(line, kitOwnerKey):
			k.Owner = new(Signer)
			err = k.Owner.UnmarshalText([]byte(line[len(kitOwnerKey):]))
		case strings.HasPrefix(line, kitOwner):
			fingerprint = line[len(kitOwner):]
		case line == "" || strings.HasPrefix(line, "#"):
		case k.Identity != "":
			err = ErrBadKit
		default:
			k.Identity = line
			_, k.Recipient, err = parseNative(line)
		}
		if err != nil {
			return Kit{}, fmt.Errorf("read recovery kit: %w: one of its lines is malformed", ErrBadKit)
		}
	}
	switch {
	case !title:
		return Kit{}, fmt.Errorf("read recovery kit: %w: its first line is missing", ErrBadKit)
	case k.Owner == nil || k.StoreID.IsZero():
		return Kit{}, fmt.Errorf("read recovery kit: %w: it is incomplete", ErrBadKit)
	case k.Owner.Public().Fingerprint() != fingerprint:
		return Kit{}, fmt.Errorf("read recovery kit: %w: owner and owner-key do not match", ErrBadKit)
	}
	return k, nil
}
