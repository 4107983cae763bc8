package snapshot

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"vaultik/internal/fuzzbound"
	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

const seedRequest = `{"type":"request","v":1,"required":[],"store":"000102030405060708090a0b0c0d0e0f","owner":"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","host":"0102030405060708","key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop","roles":["prune"],"time":"2026-05-01T10:00:00Z","hostname":"box","recipients":[]}`

func testRequest(t *testing.T) (*Request, *keys.Signer) {
	w := newWorld(t)
	return &Request{Store: w.store, Owner: w.owner.Public().Fingerprint(), Host: layout.NewHostID(),
		Key: w.signer.Public(), Roles: []string{RoleWrite, RolePrune}, Time: testTime,
		Hostname: "b\xffx", Recipients: w.recipients.Strings()}, w.signer
}

// A request comes through a mail, and nothing in it can be changed on the way.
func TestRequest(t *testing.T) {
	golden(t, seedRequest, parseRequest)
	r, signer := testRequest(t)
	text, err := EncodeRequest(r, signer)
	if err != nil {
		t.Fatal(err)
	}
	mail := "Dear owner,\r\n\r\n> " + strings.ReplaceAll(string(text), "\n", "\r\n> ") + "\r\nyours"
	got, err := DecodeRequest([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	if got.Host != r.Host || got.Key != r.Key || got.Hostname != r.Hostname ||
		len(got.Roles) != 2 || got.Recipients[0] != r.Recipients[0] || !got.Time.Equal(testTime) {
		t.Errorf("%+v", got)
	}

	inside := func(namespace string, by *keys.Signer, old, now string) []byte {
		raw, err := unwrapRequest(text)
		if err != nil {
			t.Fatal(err)
		}
		line := strings.Replace(lineOf(t, raw), old, now, 1)
		b := forge(t, by, namespace, line)
		return []byte(requestBegin + "\n" + base64.StdEncoding.EncodeToString(b) + "\n" + requestEnd)
	}
	other := keys.NewSigner()
	for name, c := range map[string]struct {
		text []byte
		want error
	}{
		"the same, made by hand": {inside(requestNamespace, signer, "", ""), nil},
		"nothing":                {nil, ErrDamaged},
		"half of it":             {text[:len(text)/2], ErrDamaged},
		"a line less":            {append(bytes.Clone(text[:96]), text[161:]...), ErrDamaged},
		"two of them":            {append(bytes.Clone(text), text...), ErrDamaged},
		"too large":              {append(bytes.Clone(text), make([]byte, MaxRequest)...), ErrDamaged},
		"signed by another":      {inside(requestNamespace, other, "", ""), ErrSignature},
		"signed for else":        {inside(trustNamespace, signer, "", ""), ErrSignature},
		"a newer format":         {inside(requestNamespace, signer, `"v":1`, `"v":2`), ErrNewerFormat},
		"a role that is none":    {inside(requestNamespace, signer, `"prune"`, `"owner"`), ErrDamaged},
		"a role twice":           {inside(requestNamespace, signer, `"prune"`, `"write"`), ErrDamaged},
		"recipients of none":     {inside(requestNamespace, signer, `"write",`, ``), ErrDamaged},
		"a broken recipient":     {inside(requestNamespace, signer, `["age1`, `["age2`), ErrDamaged},
		"no name": {inside(requestNamespace, signer, `{"b64":"Yv94"}`, `""`),
			ErrDamaged},
	} {
		_, err := DecodeRequest(c.text)
		if c.want == nil && err != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := EncodeRequest(r, other); !errors.Is(err, ErrInvalid) {
		t.Errorf("a request for another's key: %v", err)
	}
}

func TestTrust_Add(t *testing.T) {
	w := newWorld(t)
	add := func(host layout.HostID, key keys.PublicKey) error {
		list := w.trust
		return list.Add(TrustHost{Host: host, Key: key, Roles: []string{RoleWrite}})
	}
	fresh := keys.NewSigner().Public()
	if err := add(layout.NewHostID(), fresh); err != nil || len(w.trust.Hosts) != 2 {
		t.Error(err, w.trust.Hosts)
	}
	for range 2 { // trusted, then revoked
		if err := add(w.host, fresh); !errors.Is(err, ErrTaken) {
			t.Errorf("a host that is there: %v", err)
		}
		if err := add(layout.NewHostID(), w.signer.Public()); !errors.Is(err, ErrTaken) {
			t.Errorf("a key that is there: %v", err)
		}
		if !w.trust.Revoke(w.host, testTime, &Until{}) {
			t.Error("not revoked")
		}
	}
	if w.trust.Revoke(layout.NewHostID(), testTime, nil) {
		t.Error("nobody was revoked")
	}
}

func FuzzParseRequest(f *testing.F) { fuzzParser(f, seedRequest, parseRequest) }

// FuzzDecodeRequest: whatever a text holds, it takes little memory to find out.
func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(requestBegin + "\nAAAA\n" + requestEnd))
	f.Add([]byte("x" + requestBegin + "> \r\n" + requestEnd + requestBegin))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzzbound.Check(t, 64<<20, func() {
			if r, err := DecodeRequest(text); err == nil && r.check() != nil {
				t.Errorf("%+v", r)
			}
		})
	})
}
