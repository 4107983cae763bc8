package keys

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"vaultik/internal/agetest"
	"vaultik/internal/fuzzbound"
)

const testNamespace = "manifest@vaultik"

func TestSigner_acceptedBySSHKeygen(t *testing.T) {
	s := NewSigner()
	for _, msg := range []string{"", "one line\n", strings.Repeat("long ", 1<<16)} {
		sig, err := s.Sign(testNamespace, []byte(msg))
		if err != nil {
			t.Fatal(err)
		}
		allowed := agetest.File(t, "allowed", []byte("host "+s.Public().String()+"\n"))
		sigFile := agetest.File(t, "sig", sig)
		agetest.Run(t, []byte(msg), "ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "host",
			"-n", testNamespace, "-s", sigFile)
		pub := agetest.File(t, "pub", []byte(s.Public().String()+"\n"))
		if out := agetest.Run(t, nil, "ssh-keygen", "-l", "-f", pub); !bytes.Contains(out, []byte(" "+s.Public().Fingerprint()+" ")) {
			t.Errorf("ssh-keygen -l prints %q, want %s", out, s.Public().Fingerprint())
		}
	}
}

func TestSigner_sameBytesAsSSHKeygen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	agetest.Run(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(raw.(*ed25519.PrivateKey).Seed())
	msg := []byte("the same message\n")
	want := agetest.Run(t, msg, "ssh-keygen", "-Y", "sign", "-f", path, "-n", testNamespace)
	got, err := s.Sign(testNamespace, msg)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Sign = %v\n%s\nwant\n%s", err, got, want)
	}
	if err := Verify(s.Public(), testNamespace, msg, want); err != nil {
		t.Error(err)
	}
}

func TestVerify_refuses(t *testing.T) {
	s, other := NewSigner(), NewSigner()
	msg := []byte("message\n")
	sig, err := s.Sign(testNamespace, msg)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(s.Public(), testNamespace, msg, sig); err != nil {
		t.Fatal(err)
	}
	wrongSpace, _ := s.Sign("store@vaultik", msg)
	for name, err := range map[string]error{
		"other key":        Verify(other.Public(), testNamespace, msg, sig),
		"other message":    Verify(s.Public(), testNamespace, []byte("message"), sig),
		"other namespace":  Verify(s.Public(), "store@vaultik", msg, sig),
		"signed for other": Verify(s.Public(), testNamespace, msg, wrongSpace),
		"empty":            Verify(s.Public(), testNamespace, msg, nil),
		"no last newline":  Verify(s.Public(), testNamespace, msg, sig[:len(sig)-1]),
		"one more newline": Verify(s.Public(), testNamespace, msg, append(bytes.Clone(sig), '\n')),
		"CRLF":             Verify(s.Public(), testNamespace, msg, bytes.ReplaceAll(sig, []byte("\n"), []byte("\r\n"))),
		"no key":           Verify(PublicKey{}, testNamespace, msg, sig),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v, want ErrSignature", name, err)
		}
	}
	for i := range sig {
		bad := bytes.Clone(sig)
		bad[i] ^= 1
		if err := Verify(s.Public(), testNamespace, msg, bad); !errors.Is(err, ErrSignature) {
			t.Errorf("byte %d flipped: %v, want ErrSignature", i, err)
		}
	}
}

func TestSigner_text(t *testing.T) {
	s := NewSigner()
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var again Signer
	if err := again.UnmarshalText(text); err != nil || again.Public() != s.Public() {
		t.Errorf("UnmarshalText: %v", err)
	}
	for _, bad := range []string{"", "AAAA", string(text[:43]), string(text) + "\n", strings.Replace(string(text), "=", "", 1)} {
		if err := new(Signer).UnmarshalText([]byte(bad)); !errors.Is(err, ErrBadKey) || len(bad) > 4 && strings.Contains(err.Error(), bad) {
			t.Errorf("UnmarshalText(%q): %v, want ErrBadKey", bad, err)
		}
	}
	if _, err := (Signer{}).MarshalText(); err == nil {
		t.Error("an empty signer was written")
	}
	if _, err := (&Signer{}).Sign(testNamespace, nil); !errors.Is(err, ErrBadKey) {
		t.Errorf("an empty signer signed: %v", err)
	}
}

func TestPublicKey_text(t *testing.T) {
	p := NewSigner().Public()
	if got, err := ParsePublicKey(p.String()); err != nil || got != p {
		t.Errorf("ParsePublicKey = %v, %v", got, err)
	}
	if !ValidFingerprint(p.Fingerprint()) {
		t.Errorf("ValidFingerprint(%q) = false", p.Fingerprint())
	}
	for _, bad := range []string{"", "ssh-ed25519", "ssh-ed25519 ", p.String() + " comment", p.String() + "\n",
		"ssh-rsa " + p.String()[12:], p.String()[:40], "ssh-ed25519  " + p.String()[12:],
		"ssh-ed25519 " + strings.Repeat("A", 68)} {
		if _, err := ParsePublicKey(bad); !errors.Is(err, ErrBadKey) {
			t.Errorf("ParsePublicKey(%q): %v, want ErrBadKey", bad, err)
		}
	}
	for _, bad := range []string{"", "SHA256:", p.Fingerprint()[7:], p.Fingerprint() + "=", "MD5:" + p.Fingerprint()[7:]} {
		if ValidFingerprint(bad) {
			t.Errorf("ValidFingerprint(%q) = true", bad)
		}
	}
}

func FuzzVerify(f *testing.F) {
	s := newSigner(make([]byte, ed25519.SeedSize))
	msg := []byte("message\n")
	sig, err := s.Sign(testNamespace, msg)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig)
	f.Add(sig[:100])
	f.Add(bytes.ReplaceAll(sig, []byte("\n"), nil))
	f.Add(bytes.ReplaceAll(sig, []byte("A"), []byte("B")))
	f.Fuzz(func(t *testing.T, armored []byte) {
		var err error
		fuzzbound.Check(t, 1<<20+20*int64(len(armored)), func() { err = Verify(s.Public(), testNamespace, msg, armored) })
		if (err == nil) != bytes.Equal(armored, sig) {
			t.Errorf("Verify = %v for another signature than the one made", err)
		}
	})
}
