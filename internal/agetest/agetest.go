// Package agetest gives tests the programs and hardware keys they need of age:
// its command line, and a stand-in for a hardware key behind an age plugin.
package agetest

import (
	"bytes"
	"crypto/ecdh"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"filippo.io/age/plugin"
	"filippo.io/age/tag"
	"filippo.io/hpke"
	"filippo.io/nistec"
)

// Plugin is a built age-plugin-tagtest, which holds the secret halves of two
// fixed hardware recipients in software.
type Plugin struct {
	Dir      string // holds the binary; Plugin has put it first in PATH for this test
	Identity string // AGE-PLUGIN-TAGTEST-1...
	Classic  string // age1tag1...
	Hybrid   string // age1tagpq1...
}

// tagSeed is the seed that age's own test plugin is built with.
const tagSeed = "age-plugin-tagtest"

// TagPlugin builds the plugin out of age's module and puts it into PATH.
func TagPlugin(t *testing.T) Plugin {
	t.Helper()
	p := Plugin{Dir: t.TempDir(), Identity: plugin.EncodeIdentity("tagtest", nil)}
	p.Classic, p.Hybrid = tagRecipients(t)
	Run(t, nil, "go", "build", "-o", filepath.Join(p.Dir, "age-plugin-tagtest"),
		"filippo.io/age/tag/internal/age-plugin-tagtest")
	t.Setenv("PATH", p.Dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return p
}

func tagRecipients(t *testing.T) (classic, hybrid string) {
	t.Helper()
	k, err := hpke.DHKEM(ecdh.P256()).DeriveKeyPair([]byte(tagSeed))
	if err != nil {
		t.Fatal(err)
	}
	point, err := nistec.NewP256Point().SetBytes(k.PublicKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	c, err := tag.NewClassicRecipient(point.BytesCompressed())
	if err != nil {
		t.Fatal(err)
	}
	if k, err = hpke.MLKEM768P256().DeriveKeyPair([]byte(tagSeed)); err != nil {
		t.Fatal(err)
	}
	h, err := tag.NewHybridRecipient(k.PublicKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return c.String(), h.String()
}

// Run runs a program with this standard input and returns its standard
// output. The test fails if the program is missing or does.
func Run(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, stderr.String())
	}
	return stdout.Bytes()
}

// File writes a file with mode 0600 into a new temporary directory.
func File(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
