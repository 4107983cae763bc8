package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vaultik/internal/fuzzbound"
	"vaultik/vault/keys"
)

func recipient(t *testing.T, classic bool) (secret, public string) {
	t.Helper()
	secret, public, err := keys.Generate(classic)
	if err != nil {
		t.Fatal(err)
	}
	return secret, public
}

func TestParse_Defaults(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	t.Setenv("DATA", "/data")
	_, r := recipient(t, true)
	c, err := Parse("c.yaml", []byte("storage_url: ~/store\nage_recipients: ["+r+"]\nhostname: 12\n"+
		"snapshots:\n  home:\n    paths: [~, $DATA/a, \"${DATA}/b/../c\", /cost$$]\n  2:\n    paths:\n    - /x\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.StorageURL != "file:///home/u/store" || c.Hostname != "12" || c.Parallel != 4 || c.ChunkSize != 1<<20 ||
		c.Memory != 150<<20 || c.BlobSize != 15<<20 || c.Compression != 3 || len(c.Warnings) != 0 {
		t.Errorf("%+v", c)
	}
	s, ok := c.Set("home")
	if got := strings.Join(s.Paths, " "); !ok || got != "/home/u /data/a /data/c /cost$" {
		t.Errorf("paths %q", got)
	}
	if s, ok := c.Set("2"); !ok || s.Paths[0] != "/x" {
		t.Error("set 2 is missing")
	}
}

func TestParse_ShowReadsBack(t *testing.T) {
	_, r := recipient(t, false)
	text := "storage_url: file:///a%20b/$$x\nage_recipients: [" + r + "]\nhostname: \"a: b #c\"\nmemory: 1GiB\nblob_size: 64MiB\n" +
		"snapshots: {\"x:y\": {paths: ['/ $$HOME', \"/ü\\\\\"], retention: {keep_tag: ['a b', c]}}}\n" +
		"retention: {keep_daily: 7, keep_yearly: unlimited, keep_within_hourly: 36h, keep_tag: 'x,y'}\nparallel: 64\ncompression_level: 19\nchunk_size: 64KiB\nindex_path: /i\n"
	c, err := Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	shown := YAML(c.Settings(Places{Index: "/i"}))
	d, err := Parse("c.yaml", []byte(shown))
	if err != nil {
		t.Fatalf("%v in\n%s", err, shown)
	}
	for set, want := range map[string]string{
		"x:y":   "[{0 0 0s [a b]} {0 0 0s [c]}]",
		"other": "[{2 7 0s []} {6 -1 0s []} {1 0 36h0m0s []} {0 0 0s [x y]}]",
	} {
		if got := fmt.Sprint(d.Policy(set)); got != want {
			t.Errorf("policy of %s: %s, want %s", set, got, want)
		}
	}
	if again := YAML(d.Settings(Places{})); again != shown || d.BlobSize != 64<<20 || d.Sets[0].Paths[0] != "/ $HOME" {
		t.Errorf("first\n%ssecond\n%s", shown, again)
	}
}

func TestParse_BlobSizeIsCappedByMemory(t *testing.T) {
	_, r := recipient(t, true)
	c, err := Parse("c.yaml", []byte("storage_url: /s\nage_recipients: ["+r+"]\nmemory: 100MiB\nblob_size: 16MiB\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.BlobSize != 10<<20 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "c.yaml:4: ") {
		t.Errorf("%d %q", c.BlobSize, c.Warnings)
	}
}

// Only machines that prune, and do nothing else, need not say for whom they encrypt.
func TestConfig_NeedRecipients(t *testing.T) {
	c, err := Parse("c.yaml", []byte("storage_url: /s\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.NeedRecipients(); !errors.Is(err, ErrInvalid) ||
		!strings.Contains(err.Error(), "c.yaml: age_recipients is missing") {
		t.Errorf("%v", err)
	}
	again, err := Parse("c.yaml", []byte(YAML(c.Settings(Places{Index: "/i"}))))
	if err != nil || again.NeedRecipients() == nil {
		t.Errorf("what is written of it is read as another: %v", err)
	}
}

func TestParse_Refused(t *testing.T) {
	secret, r := recipient(t, true)
	pqSecret, pq := recipient(t, false)
	ok := "storage_url: /s\nage_recipients: [" + r + "]\n"
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", ok + "memmory: 1GiB\n", `c.yaml:3: unknown key "memmory" in the configuration; did you mean "memory"?`},
		{"nothing near", ok + "zzzzzzzzzz: 1\n", "known: storage_url, age_recipients"},
		{"unknown key in set", ok + "snapshots:\n  a:\n    path: [/x]\n", `c.yaml:5: unknown key "path" in snapshots: a; did you mean "paths"?`},
		{"set without paths", ok + "snapshots:\n  a: {}\n", "snapshots: a has no paths"},
		{"set null", ok + "snapshots:\n  a:\n", "snapshots: a must be `key: value` lines, not nothing"},
		{"paths text", ok + "snapshots: {a: {paths: /x}}\n", "must be a list"},
		{"relative path", ok + "snapshots: {a: {paths: [x]}}\n", `c.yaml:3: snapshots: a: paths: "x" is not an absolute path`},
		{"other home", ok + "snapshots: {a: {paths: [~bob/x]}}\n", "not another user's home"},
		{"unset variable", ok + "snapshots: {a: {paths: [$NO_SUCH_VARIABLE/x]}}\n", "variable NO_SUCH_VARIABLE is not set"},
		{"unknown rule", ok + "retention: {keep_dayly: 7}\n", `c.yaml:3: unknown key "keep_dayly" in retention; did you mean "keep_daily"?`},
		{"no rules", ok + "retention: {}\n", "retention has no rules"},
		{"nothing kept", ok + "retention: {keep_last: 0, keep_daily: 0}\n", "every number of the policy is 0"},
		{"rule without number", ok + "snapshots: {a: {paths: [/x], retention: {keep_last: 7d}}}\n",
			`c.yaml:3: snapshots: a: retention: keep_last: "7d" is not a number of snapshots`},
		{"months or minutes", ok + "retention: {keep_within: 6m}\n", "write months as mo"},
		{"empty tag", ok + "retention: {keep_tag: ['a,']}\n", "has an empty tag"},
		{"twice", ok + "memory: 1GiB\nmemory: 2GiB\n", "memory"},
		{"empty", "", "no settings"},
		{"comments only", "# nothing\n", "no settings"},
		{"list", "- a\n", "the configuration must be `key: value` lines, not a list"},
		{"two documents", ok + "---\na: b\n", "c.yaml:4: a second document"},
		{"not YAML", "storage_url: [\n", "c.yaml:1: not YAML"},
		{"no URL", "age_recipients: [" + r + "]\n", "storage_url is missing"},
		{"empty recipients", "storage_url: /s\nage_recipients: []\n", "empty list"},
		{"relative store", "storage_url: s\nage_recipients: [" + r + "]\n", "neither a URL nor an absolute path"},
		{"size", ok + "memory: much\n", `c.yaml:3: memory: "much" is not a size`},
		{"small memory", ok + "memory: 1MiB\n", "memory: 1MiB is outside 64MiB to 1024GiB"},
		{"large blob", ok + "blob_size: 65MiB\n", "blob_size: 65MiB is outside 1MiB to 64MiB"},
		{"odd chunk", ok + "chunk_size: 1MB\n", "power of two"},
		{"large chunk", ok + "chunk_size: 8MiB\n", "outside 64KiB to 4MiB"},
		{"no number", ok + "parallel: four\n", `parallel: "four" is not a whole number`},
		{"parallel", ok + "parallel: 65\n", "65 is outside 1 to 64"},
		{"compression", ok + "compression_level: 0\n", "0 is outside 1 to 19"},
		{"empty host", ok + "hostname: ''\n", "hostname is empty"},
		{"alias", ok + "hostname: &a x\nindex_path: *a\n", "anchor"},
		{"mixed", "storage_url: /s\nage_recipients: [" + r + "," + pq + "]\n", "post-quantum and classic recipients cannot be mixed"},
		{"secret", "storage_url: /s\nage_recipients:\n  - " + r + "\n  - " + secret + "\n", "c.yaml:4: age_recipients: recipient 2: a secret key was given"},
		{"hybrid secret", "storage_url: /s\nage_recipients: [" + pqSecret + "]\n", "a secret key was given"},
		{"secret elsewhere", "storage_url: " + secret + "\nage_recipients: [" + r + "]\n", "AGE-SECRET-KEY-[not shown]"},
		{"secret as key", secret + ": x\n", "AGE-SECRET-KEY-[not shown]"},
		{"not UTF-8", ok + "index_path: /a\xffb\n", "c.yaml:3: byte 0xff is not UTF-8"},
		{"secret in broken YAML", "x: \"" + secret + "\n y", "not YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse("c.yaml", []byte(c.text))
			if err == nil {
				t.Fatalf("no error: %+v", got)
			}
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			for _, s := range []string{secret, pqSecret} {
				if strings.Contains(strings.ToUpper(err.Error()), s[20:40]) {
					t.Errorf("the secret is shown: %v", err)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("storage_url: /s\nage_recipients: [a]\n")
	f.Add("snapshots: {a: {paths: [/x, ~]}}\n? [k]\n: v\n<<: *a\n")
	f.Add("a: &x !!binary |\n  zz\n--- \n- b\n")
	f.Fuzz(func(t *testing.T, text string) {
		fuzzbound.Check(t, 8<<20+4000*int64(len(text)), func() {
			if c, err := Parse("c", []byte(text)); (c == nil) == (err == nil) && err == nil {
				t.Error("neither a configuration nor an error")
			}
		})
	})
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "4096": 4096, "16MiB": 16 << 20, "16 MiB": 16 << 20, "1.5GiB": 3 << 29, "64k": 64 << 10, "2MB": 2e6, "7b": 7, "1T": 1 << 40,
	} {
		if n, err := ParseSize(s); err != nil || n != want {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	}
	for _, s := range []string{"", "MiB", "-1", "1e3", "0x10", "1 2", "16MiBs", "nan", "inf", "1..2", "99999999999GiB", "+1", "1_0"} {
		if n, err := ParseSize(s); err == nil {
			t.Errorf("%q gave %d", s, n)
		}
	}
	for _, n := range []int64{0, 1, 1023, 1024, 15 << 20, 3 << 29, 1 << 40} {
		if got, err := ParseSize(FormatSize(n)); err != nil || got != n {
			t.Errorf("%d became %d, %v", n, got, err)
		}
	}
}

func TestFindPlaces(t *testing.T) {
	for _, v := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "VAULTIK_CONFIG", "VAULTIK_INDEX_PATH"} {
		t.Setenv(v, "")
	}
	t.Setenv("HOME", "/home/u")
	want := Places{Config: "/home/u/.config/vaultik/config.yaml", State: "/home/u/.config/vaultik",
		Index: "/home/u/.local/state/vaultik/index", Store: "/home/u/.local/share/vaultik/store",
		Cache: "/home/u/.cache/vaultik", home: "/home/u"}
	if p, err := FindPlaces("", nil); err != nil || p != want {
		t.Errorf("%+v, %v", p, err)
	}
	t.Setenv("XDG_CONFIG_HOME", "relative is ignored")
	t.Setenv("XDG_STATE_HOME", "/state")
	t.Setenv("XDG_DATA_HOME", "/data")
	t.Setenv("XDG_CACHE_HOME", "/cache")
	t.Setenv("VAULTIK_CONFIG", "/etc/v.yaml")
	want = Places{Config: "/etc/v.yaml", Named: "VAULTIK_CONFIG", State: "/etc", Index: "/state/vaultik/index",
		Store: "/data/vaultik/store", Cache: "/cache/vaultik", home: "/home/u"}
	if p, err := FindPlaces("", nil); err != nil || p != want {
		t.Errorf("%+v, %v", p, err)
	}
	t.Setenv(EnvStateDir, "/var/v")
	if p, err := FindPlaces("", nil); err != nil || p.State != "/var/v" || p.Index != "/var/v/index" {
		t.Errorf("%+v, %v", p, err)
	}
	t.Setenv("VAULTIK_INDEX_PATH", "/idx")
	p, err := FindPlaces("/flag.yaml", nil)
	if err != nil || p.Config != "/flag.yaml" || p.Named != "--config" || p.IndexDir(&Config{IndexPath: "/configured"}) != "/idx" {
		t.Errorf("%+v, %v", p, err)
	}
}

// The directory of the state files is found in a configuration that is otherwise broken, and
// is never one without the state that is still beside the configuration.
func TestFindPlaces_StateDir(t *testing.T) {
	for _, v := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "VAULTIK_CONFIG", "VAULTIK_INDEX_PATH", EnvStateDir} {
		t.Setenv(v, "")
	}
	dir, other := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("OTHER", other)
	write(file, "\xef\xbb\xbfstate_dir: $OTHER # here\r\noops: [\n")
	if p, err := FindPlaces(file, nil); err != nil || p.State != other || p.Index != filepath.Join(other, "index") {
		t.Errorf("%+v, %v", p, err)
	}
	write(file, "x: 1\nstate_dir: here\n")
	if _, err := FindPlaces(file, nil); err == nil || !strings.Contains(err.Error(), "config.yaml:2: state_dir: \"here\" is not an absolute path") {
		t.Errorf("%v", err)
	}
	_, r := recipient(t, true)
	ok := "storage_url: /s\nage_recipients: [" + r + "]\n"
	for _, text := range []string{"{storage_url: /s, age_recipients: [" + r + "], state_dir: /x}", ok + "\"state_dir\": /x\n",
		ok + "snapshots:\n  a:\n    paths:\n    - |\nstate_dir: /y\n"} {
		if c, err := Parse("c", []byte(text)); err == nil && c.StateDir == "" || err == nil && c.StateDir == "/x" {
			t.Errorf("%q was read: %+v", text, c)
		}
	}
	write(file, "state_dir: "+other+"\n")
	write(filepath.Join(dir, hostFile), "{}")
	var ce *Error
	if _, err := FindPlaces(file, nil); !errors.As(err, &ce) || !strings.Contains(ce.Hint, "mkdir -p "+other+" && mv "+filepath.Join(dir, hostFile)+" "+other) {
		t.Errorf("%v", err)
	}

	// The index moves along where it would be looked for elsewhere, and before all the rest.
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	index := filepath.Join(state, "vaultik", "index")
	if err := os.MkdirAll(index, 0o700); err != nil {
		t.Fatal(err)
	}
	moves := func(want bool) {
		t.Helper()
		_, err := FindPlaces(file, nil)
		move := "mkdir -p " + other + " && mv -T " + index + " " + filepath.Join(other, "index") +
			" && mv " + filepath.Join(dir, hostFile) + " " + other
		if !errors.As(err, &ce) || strings.Contains(ce.Hint, move) != want ||
			strings.Contains(ce.Hint, index) != want {
			t.Errorf("%v, %s", err, ce.Hint)
		}
	}
	moves(true)
	t.Setenv("VAULTIK_INDEX_PATH", "/x")
	moves(false)
	t.Setenv("VAULTIK_INDEX_PATH", "")
	write(file, "index_path: /x\nstate_dir: "+other+"\n")
	moves(false)
	write(file, "state_dir: "+other+"\n")
	if err := os.Mkdir(filepath.Join(other, "index"), 0o700); err != nil {
		t.Fatal(err)
	}
	moves(false)
	write(filepath.Join(other, hostFile), "{}")
	if p, err := FindPlaces(file, nil); err != nil || p.State != other {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestState_MissingHome(t *testing.T) {
	for _, v := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "VAULTIK_CONFIG", "VAULTIK_INDEX_PATH", EnvStateDir} {
		t.Setenv(v, "")
	}
	home := filepath.Join(t.TempDir(), "gone")
	t.Setenv("HOME", home)
	p, err := FindPlaces("", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.StateFiles().UpdateSeen(func(*Seen) error { return nil })
	if _, lerr := p.StateFiles().LockHost(); !errors.Is(err, os.ErrNotExist) || !errors.Is(lerr, os.ErrNotExist) {
		t.Errorf("%v, %v", err, lerr)
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the home was made: %v", err)
	}
	if err := p.CheckHome("/elsewhere"); err != nil || p.CheckHome("/elsewhere", home) == nil {
		t.Errorf("%v", err)
	}
}

func TestLoad_MissingAndUnreadable(t *testing.T) {
	dir := t.TempDir()
	var ce *Error
	if _, err := Load(filepath.Join(dir, "no")); !errors.Is(err, ErrMissing) || !errors.As(err, &ce) || ce.Hint == "" {
		t.Errorf("%v", err)
	}
	if _, err := Load(dir); err == nil || errors.Is(err, ErrMissing) || !errors.As(err, &ce) {
		t.Errorf("%v", err)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "new", "config.yaml")
	_, r := recipient(t, false)
	if err := Create(file, "file:///a$b", "/st$", []string{r}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil || c.StorageURL != "file:///a$b" || c.StateDir != "/st$" || len(c.Sets) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	for f, mode := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700 | os.ModeDir} {
		if st, err := os.Stat(f); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", f, st.Mode(), err)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"/a/b.c": "/a/b.c", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'",
		"a\xff'\\\n\u200b": `$'a\377\'\\\012\342\200\213'`, "ü": "'ü'"} {
		if got := Quote(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "age1abc": "age1abc", "\xff page-": "\xff page-",
		"\xffx=AGE-SECRET-KEY-1QZ;":  "\xffx=AGE-SECRET-KEY-[not shown];",
		"a Age-Secret-Key-pq-1q_z b": "a AGE-Secret-Key-[not shown] b",
		"age-plugin-x-1a, age-":      "AGE-plugin-[not shown], age-",
	} {
		if got := Scrub(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestStoreURL_Bytes(t *testing.T) {
	for in, want := range map[string]string{
		"/a\xffb": "file:///a%FFb", "file:///a\xffb": "file:///a%FFb", "file:///a%FFb": "file:///a%FFb"} {
		if got, err := StoreURL(in); err != nil || got != want || FilePath(got) != "/a\xffb" {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"s3://b/\xff", "rclone://r/\xff"} {
		if got, err := StoreURL(in); err == nil || !strings.Contains(err.Error(), "%FF") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// Bytes that are not UTF-8 come from variables. They are kept, and shown as what they are.
func TestParse_Bytes(t *testing.T) {
	_, r := recipient(t, true)
	t.Setenv("ODD", "/o\xffd")
	c, err := Parse("c.yaml", []byte("\xef\xbb\xbfstorage_url: $ODD\nage_recipients: ["+r+"]\n"+
		"snapshots: {a: {paths: [$ODD/x]}}\nindex_path: $ODD\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.StorageURL != "file:///o%FFd" || c.Sets[0].Paths[0] != "/o\xffd/x" || c.IndexPath != "/o\xffd" {
		t.Errorf("%+v", c)
	}
	shown := YAML(c.Settings(Places{Index: "/i"}))
	if strings.Contains(shown, "\ufffd") || !strings.Contains(shown, `/o\xffd is not UTF-8`) {
		t.Errorf("shown as\n%s", shown)
	}
	if _, err := Parse("c.yaml", []byte(shown)); !errors.Is(err, ErrInvalid) {
		t.Errorf("reads back as another path: %v", err)
	}
}
