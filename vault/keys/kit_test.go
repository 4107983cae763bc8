package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vaultik/internal/agetest"
	"vaultik/internal/fuzzbound"
	"vaultik/vault/layout"
)

func dumpable() int {
	n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return -1
	}
	return n
}

// wrap64 encodes the body of an age stanza of between 48 and 95 bytes.
func wrap64(s string) string {
	b := base64.RawStdEncoding.EncodeToString([]byte(s))
	if len(b) < 64 {
		return b
	}
	return b[:64] + "; echo " + b[64:]
}

func TestKit(t *testing.T) {
	for _, classic := range []bool{true, false} {
		secret, recipient := mustGenerate(t, classic)
		k := Kit{
			Identity: secret, Recipient: recipient, Owner: NewSigner(), StoreID: layout.NewStoreID(),
			StoreURL: "file:///var/lib/a store?x=1", Created: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		}
		text := FormatKit(k)
		got, err := ParseKit(text)
		if err != nil {
			t.Fatal(err)
		}
		if got.Owner.Public() != k.Owner.Public() {
			t.Error("another owner came back")
		}
		got.Owner = k.Owner
		if got != k {
			t.Error("another kit came back")
		}
		if n := strings.Count(strings.ToUpper(string(text)), "AGE-SECRET-KEY-"); n != 1 {
			t.Errorf("%d texts look like an identity, want 1", n)
		}
		for line := range strings.Lines(string(text)) {
			if line != "\n" && line[0] != '#' && line != secret+"\n" {
				t.Errorf("line %.5q... is neither comment nor identity", line)
			}
		}
		file := agetest.File(t, "kit", text)
		if out := agetest.Run(t, seal(t, "hello", recipient), "age", "-d", "-i", file); string(out) != "hello" {
			t.Errorf("age -d -i kit = %q", out)
		}
		if got := bytes.Contains(text, []byte("age must be version 1.3 or newer")); got == classic {
			t.Errorf("classic %v: the kit says that it needs age 1.3: %v", classic, got)
		}
		// The documented way: the whole file in the variable works, too.
		if _, err := ParseIdentity(string(text)); err != nil {
			t.Error(err)
		}
	}
}

func TestKit_withoutIdentity(t *testing.T) {
	k := Kit{Owner: NewSigner(), StoreID: layout.NewStoreID(), StoreURL: "file:///x\nAGE", Created: time.Now()}
	if !bytes.Contains(FormatKit(k), []byte("a post-quantum one needs age 1.3 or newer")) {
		t.Error("the kit does not say which age reads without Vaultik")
	}
	got, err := ParseKit(FormatKit(k))
	if err != nil || got.Identity != "" || got.StoreURL != "file:///xAGE" || got.Owner.Public() != k.Owner.Public() {
		t.Errorf("ParseKit: %v", err)
	}
}

func TestParseKit_refuses(t *testing.T) {
	secret, _ := mustGenerate(t, true)
	good := string(FormatKit(Kit{Identity: secret, Owner: NewSigner(), StoreID: layout.NewStoreID(), StoreURL: "file:///x", Created: time.Now()}))
	other, _ := NewSigner().MarshalText()
	drop := func(prefix string) string {
		var b strings.Builder
		for line := range strings.Lines(good) {
			if !strings.HasPrefix(line, prefix) {
				b.WriteString(line)
			}
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"empty": "", "only identity": secret, "no title": drop(kitTitle), "no owner": drop(kitOwnerKey), "no store": drop(kitStore),
		"no fingerprint": drop(kitOwner), "other owner": drop(kitOwnerKey) + kitOwnerKey + string(other),
		"two identities": good + secret, "broken identity": drop("AGE-SECRET") + secret[:50], "bad time": drop(kitCreated) + kitCreated + "now",
	} {
		if _, err := ParseKit([]byte(text)); !errors.Is(err, ErrBadKit) || strings.Contains(err.Error(), "KEY-1") {
			t.Errorf("%s: %v, want ErrBadKit", name, err)
		}
	}
}

func FuzzParseKit(f *testing.F) {
	secret := strings.Split(fuzzFile(f, "fuzz-identity.txt"), "\n")[1]
	k := Kit{Identity: secret, Owner: newSigner(make([]byte, 32)), StoreURL: "file:///x", Created: time.Unix(0, 0), StoreID: layout.StoreID{1}}
	f.Add(FormatKit(k))
	k.Identity = ""
	f.Add(FormatKit(k))
	f.Add([]byte(kitTitle + "\n# store: 00\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var k Kit
		var err error
		fuzzbound.Check(t, 1<<20+100*int64(len(text)), func() { k, err = ParseKit(text) })
		if err != nil {
			return
		}
		once := FormatKit(k)
		k, err = ParseKit(once)
		if err != nil || !bytes.Equal(FormatKit(k), once) {
			t.Errorf("a kit that was read does not come back: %v", err)
		}
	})
}
