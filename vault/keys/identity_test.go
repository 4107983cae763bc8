package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"vaultik/internal/agetest"
	"vaultik/vault/layout"
)

func mustIdentity(t testing.TB, s string) *Identity {
	t.Helper()
	id, err := ParseIdentity(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func seal(t *testing.T, text string, recipients ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := EncryptTo(&buf, mustRecipients(t, recipients...), "")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestParseIdentity(t *testing.T) {
	x, rx := mustGenerate(t, true)
	pq, rpq := mustGenerate(t, false)
	plug := plugin.EncodeIdentity("nosuch", nil)
	id := mustIdentity(t, "# a comment\n"+plug+" "+pq+"\r\n\n  "+x+"\n")
	if n := len(id.Age()); n != 3 {
		t.Fatalf("%d identities, want 3", n)
	}
	if _, err := id.Age()[2].Unwrap(nil); !errors.Is(err, ErrPlugin) {
		t.Errorf("the plugin is not the last to be tried: %v", err)
	}
	for _, r := range []string{rx, rpq} {
		if text, err := Decrypt(seal(t, "hello", r), id.Age(), 10); err != nil || string(text) != "hello" {
			t.Errorf("decrypt = %q, %v", text, err)
		}
	}
	for name, in := range map[string]string{
		"empty": " \n", "comment": "# x", "garbage": "hunter2hunter2", "lower case": strings.ToLower(x),
		"cut off": x[:40], "typo": pq[:30] + "1" + pq[31:], "recipient": rx, "second is bad": x + "\n" + pq[:60],
		"bad plugin": plug[:len(plug)-2], "quoted": `"` + x + `"`,
	} {
		_, err := ParseIdentity(in)
		if !errors.Is(err, ErrBadIdentity) {
			t.Errorf("%s: %v, want ErrBadIdentity", name, err)
			continue
		}
		for _, word := range strings.Fields(in) {
			if len(word) > 5 && strings.Contains(strings.ToUpper(err.Error()), strings.ToUpper(word)) {
				t.Errorf("%s: error repeats its input: %v", name, err)
			}
		}
	}
}

func TestTakeIdentity(t *testing.T) {
	x, _ := mustGenerate(t, true)
	for _, tt := range []struct {
		value string
		want  error
	}{{x, nil}, {"", ErrNoIdentity}, {" ", ErrNoIdentity}, {x[:20], ErrBadIdentity}} {
		t.Setenv(EnvIdentity, tt.value)
		if _, err := TakeIdentity(); !errors.Is(err, tt.want) {
			t.Errorf("TakeIdentity: %v, want %v", err, tt.want)
		}
		if _, left := os.LookupEnv(EnvIdentity); left {
			t.Errorf("%v: the identity is still in the environment", tt.want)
		}
	}
	if _, err := TakeIdentity(); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("TakeIdentity: %v, want ErrNoIdentity", err)
	}
}

func TestPluginIdentity_tag(t *testing.T) {
	p := agetest.TagPlugin(t)
	id := mustIdentity(t, p.Identity)
	for _, r := range []string{p.Classic, p.Hybrid} {
		e, sealed, err := NewEpoch(mustRecipients(t, r), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenEpoch(sealed, id, e.ID); err != nil {
			t.Errorf("%.12s: %v", r, err)
		}
		if pq := strings.HasPrefix(e.Recipient, "age1pq1"); pq != (r == p.Hybrid) {
			t.Errorf("%.12s: epoch recipient %.12s", r, e.Recipient)
		}
	}
	_, other := mustGenerate(t, true)
	if _, err := Decrypt(seal(t, "x", other), id.Age(), 10); !errors.Is(err, ErrWrongIdentity) {
		t.Errorf("other recipient: %v, want ErrWrongIdentity", err)
	}
}

// fakePlugin puts a shell script into PATH as age-plugin-fake. It is run after
// everything the client sends first has been read.
func fakePlugin(t *testing.T, script string) *Identity {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\nwhile read -r line; do [ \"$line\" = '-> done' ] && break; done\n" + script
	if err := os.WriteFile(filepath.Join(dir, "age-plugin-fake"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return mustIdentity(t, plugin.EncodeIdentity("fake", []byte("secret data")))
}

func TestPluginIdentity_failures(t *testing.T) {
	_, r := mustGenerate(t, true)
	sealed := seal(t, "x", r)
	secret := plugin.EncodeIdentity("fake", []byte("secret data"))
	// In each script: a body of "pin?" is cGluPw, one of "broken" is YnJva2Vu.
	for name, tt := range map[string]struct{ script, want string }{
		"asks":    {"echo '-> request-secret'; echo cGluPw; cat >/dev/null", "asks for input"},
		"fails":   {"echo '-> error internal'; echo YnJva2Vu; cat >/dev/null", "fake: broken"},
		"exits":   {"exit 1", "fake: it ended without an answer"},
		"stops":   {"printf '%s' '-> msg'", "fake: it ended without an answer"},
		"prints":  {"echo '-> error internal'; echo " + wrap64(secret) + "; echo; cat >/dev/null", "contains a key"},
		"garbles": {"echo hello; cat >/dev/null", "fake: it does not speak"},
		"base64":  {"echo '-> msg'; echo '!'; cat >/dev/null", "fake: it does not speak"},
		"twice":   {"for i in 1 2; do echo '-> file-key 0'; echo YnJva2Vu; done; cat >/dev/null", "not asked for"},
		"floods":  {"exec yes '-> new-word\n'", "fake: it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decrypt(sealed, fakePlugin(t, tt.script).Age(), 10)
			if !errors.Is(err, ErrPlugin) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want ErrPlugin: ...%s", err, tt.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error repeats the identity: %v", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		id := mustIdentity(t, plugin.EncodeIdentity("nosuch", nil))
		if _, err := Decrypt(sealed, id.Age(), 10); !errors.Is(err, ErrPlugin) || !strings.Contains(err.Error(), "no age-plugin-nosuch in PATH") {
			t.Errorf("%v, want ErrPlugin that names the program", err)
		}
	})
	// One that heeds neither the end of its input nor a signal is killed.
	t.Run("hangs", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "pid")
		t.Setenv("FAKE_OUT", out)
		fakePlugin(t, `trap '' INT TERM; echo $$ >"$FAKE_OUT"; echo '-> msg'; echo dG91Y2ggbWU; exec sleep 3600`)
		p, err := newPluginIdentity(secret)
		if err != nil {
			t.Fatal(err)
		}
		late := make(chan time.Time, 1)
		p.after = func(time.Duration) <-chan time.Time { return late }
		p.onMessage = func(string, string) { late <- time.Time{} }
		_, err = Decrypt(sealed, []age.Identity{p}, 10)
		if !errors.Is(err, ErrPlugin) || !strings.Contains(err.Error(), "fake: not responding for 1m0s, so it was stopped") {
			t.Errorf("%v, want ErrPlugin: not responding", err)
		}
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if plug, err := os.FindProcess(pid); err == nil {
			if err := plug.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("the plugin still runs: %v", err)
			}
		}
		if _, err := Decrypt(sealed, []age.Identity{p}, 10); !errors.Is(err, ErrPlugin) || !strings.Contains(err.Error(), "before") {
			t.Errorf("second time: %v, want ErrPlugin at once", err)
		}
	})
}

func TestPluginIdentity_messagesAndEnvironment(t *testing.T) {
	x, r := mustGenerate(t, true)
	t.Setenv(EnvIdentity, x)
	if _, err := TakeIdentity(); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "env")
	t.Setenv("FAKE_OUT", out)
	id := fakePlugin(t, `env >"$FAKE_OUT"; echo '-> msg'; echo dG91Y2ggbWU; read -r a; read -r b; echo '-> done'; echo; cat >/dev/null`)
	var said string
	id.OnMessage(func(name, message string) { said = name + ": " + message })
	if _, err := Decrypt(seal(t, "x", r), id.Age(), 10); !errors.Is(err, ErrWrongIdentity) {
		t.Errorf("%v, want ErrWrongIdentity", err)
	}
	if said != "fake: touch me" {
		t.Errorf("message %q, want %q", said, "fake: touch me")
	}
	env, err := os.ReadFile(out)
	if err != nil || len(env) == 0 || bytes.Contains(env, []byte(x)) {
		t.Errorf("the plugin's environment holds the identity, or was not recorded: %v", err)
	}
}

func TestSecrets_neverPrinted(t *testing.T) {
	x, _ := mustGenerate(t, true)
	id, signer, secret := mustIdentity(t, x), NewSigner(), NewHostSecret()
	seed, _ := signer.MarshalText()
	text, _ := secret.MarshalText()
	kit := Kit{Identity: x, Owner: signer, StoreID: layout.NewStoreID()}
	type outer struct {
		Identity  *Identity
		Value     Identity
		Signer    *Signer
		SignerVal Signer
		Secret    HostSecret
		SecretPtr *HostSecret
		Kit       Kit
		Age       []age.Identity
		id        *Identity
		value     Identity
		signer    *Signer
		signerVal Signer
		age       []age.Identity
	}
	o := outer{id, *id, signer, *signer, secret, &secret, kit, id.Age(), id, *id, signer, *signer, id.Age()}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "a", id, "b", signer, "c", secret, "d", kit, "e", o)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "a", id, "b", signer, "c", secret, "d", kit)
	var all strings.Builder
	all.Write(logged.Bytes())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&all, verb+"\n", o)
		for _, v := range []any{id, *id, signer, *signer, secret, &secret, kit, &kit, id.Age(), id.Age()[0]} {
			fmt.Fprintf(&all, verb+"\n", v)
		}
	}
	raw := signer.key()
	for name, needle := range map[string]string{
		"identity": x, "identity inside": x[20:40], "seed": string(seed), "host secret": string(text),
		"host secret hex": fmt.Sprintf("%x", secret[:8]), "host secret numbers": numbers(secret[:4]),
		"seed hex": fmt.Sprintf("%x", []byte(raw[:8])), "seed numbers": numbers(raw[:4]),
	} {
		if strings.Contains(strings.ToLower(all.String()), strings.ToLower(needle)) {
			t.Errorf("%s was printed", name)
		}
	}
	if !strings.Contains(all.String(), redacted) {
		t.Error("nothing was printed at all")
	}
}

// numbers prints bytes as fmt prints an array of them.
func numbers(b []byte) string { return strings.Trim(fmt.Sprintf("%d", b), "[]") }

func TestHostSecret(t *testing.T) {
	s := NewHostSecret()
	seen := map[[32]byte]string{s: "secret"}
	for name, k := range map[string][32]byte{"ChunkID": s.ChunkID(), "Chunker": s.Chunker(), "PageCut": s.PageCut(),
		"HardLink": s.HardLink(), "IndexPath": s.IndexPath(), "MachineID": s.MachineID(), "Tag": s.Tag()} {
		if other, ok := seen[k]; ok {
			t.Errorf("%s is the same as %s", name, other)
		}
		seen[k] = name
	}
	// The format: a change of these values makes old stores unreadable.
	if got := fmt.Sprintf("%x", HostSecret{}.ChunkID()); got != "061c6a254add38b89fcbc599ebcff2e659fa622ec1055c7ccf20e4e668ffdc00" {
		t.Errorf("ChunkID of the zero secret = %s", got)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again HostSecret
	if err := json.Unmarshal(text, &again); err != nil || again != s {
		t.Errorf("UnmarshalText: %v", err)
	}
	for _, bad := range []string{"", "AAAA", strings.Repeat("A", 44)} {
		if err := again.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("UnmarshalText(%q) succeeded", bad)
		}
	}
}

func TestHardenProcess(t *testing.T) {
	if os.Getenv("KEYS_TEST_HARDEN") == "1" {
		HardenProcess()
		if v, ok := os.LookupEnv("AGEDEBUG"); ok {
			fmt.Println("AGEDEBUG", v)
		}
		limits, _ := os.ReadFile("/proc/self/limits")
		for line := range strings.Lines(string(limits)) {
			if strings.HasPrefix(line, "Max core file size") {
				fmt.Println(strings.Join(strings.Fields(line), " "))
			}
		}
		fmt.Println("dumpable", dumpable())
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHardenProcess$")
	cmd.Env = append(os.Environ(), "KEYS_TEST_HARDEN=1", "AGEDEBUG=plugin")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("dumpable 0\n")) || !bytes.Contains(out, []byte("Max core file size 0 0")) ||
		bytes.Contains(out, []byte("AGEDEBUG")) {
		t.Errorf("%v\n%s", err, out)
	}
}
