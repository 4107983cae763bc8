package s3

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vaultik/backends"
)

func noLog(string, ...any) {}

// bare removes everything from the environment that could say where a key is.
func bare(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/none") // instead of asking a network that may not answer
	return home
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantKey checks that a source leads to testID and testSecret.
func wantKey(t *testing.T, what string, src source, token string) *grant {
	t.Helper()
	now := time.Now()
	g, err := src.load(t.Context(), need{now, "r"})
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return nil
	}
	day, key, ok := g.on(now)
	if g.id != testID || g.token != token || !ok || key != signingKey(dayKey([]byte(testSecret), day, make([]byte, hmacScratch)), "r") {
		t.Errorf("%s: another key: id %s, token %q", what, g.id, g.token)
	}
	if s := fmt.Sprintf("%v %+v %s", g, &signing{id: g.id, key: key}, g); strings.Contains(s, "[") {
		t.Errorf("printed, a key shows: %s", s)
	}
	return g
}

// wantNoKey checks an error of a source.
func wantNoKey(t *testing.T, what string, src source, want string) {
	t.Helper()
	_, err := src.load(t.Context(), need{time.Now(), "r"})
	var ce *credentialError
	if !errors.As(err, &ce) || !errors.Is(err, backends.ErrAuth) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %s", what, err, want)
		return
	}
	if strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), "wJalr") {
		t.Errorf("%s: the error tells the secret: %v", what, err)
	}
}

func TestCredentials_File(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) *fileSource {
		return &fileSource{path: write(t, filepath.Join(dir, "key"), text), log: noLog}
	}
	for _, text := range []string{
		testID + "\n" + testSecret + "\n", testID + "\r\n" + testSecret, "# a key\n\n  " + testID + "\n\t" + testSecret + "  \n# end\n",
	} {
		wantKey(t, text, file(text), "")
	}
	wantKey(t, "with token", file(testID+"\n"+testSecret+"\nto/ken==\n"), "to/ken==")
	for text, want := range map[string]string{
		"":                                "0 lines, not two",
		testSecret:                        "1 lines, not two",
		"a\nb\nc\nd\n":                    "4 lines, not two",
		"[default]\na=b":                  "credentials=profile",
		testSecret + "\n" + testID + "\n": "are id and secret swapped?",
		strings.Repeat("x", 2<<20):        "has more than",
	} {
		wantNoKey(t, fmt.Sprintf("%.40q", text), file(text), want)
	}
	wantNoKey(t, "no file", &fileSource{path: filepath.Join(dir, "none"), log: noLog}, "no such file")
	wantNoKey(t, "a directory", &fileSource{path: dir, log: noLog}, "is a directory")

	var warned []any
	open := &fileSource{path: write(t, filepath.Join(dir, "open"), testID+"\n"+testSecret), log: func(_ string, args ...any) { warned = args }}
	wantKey(t, "mode 0600", open, "")
	if warned != nil {
		t.Error("a file of mode 0600 is warned of")
	}
	if err := os.Chmod(open.path, 0o644); err != nil {
		t.Fatal(err)
	}
	wantKey(t, "mode 0644", open, "")
	if len(warned) == 0 || strings.Contains(fmt.Sprint(warned...), testSecret) {
		t.Errorf("a file that all may read: %v", warned)
	}
}

func TestCredentials_Environment(t *testing.T) {
	bare(t)
	fromEnv.regions = nil // of an earlier run
	wantNoKey(t, "nothing set", envSource{}, "AWS_ACCESS_KEY_ID is not set")
	t.Setenv(envID, testID)
	wantNoKey(t, "no secret", envSource{}, "AWS_SECRET_ACCESS_KEY is not set")
	t.Setenv(envSecret, testSecret)
	g := wantKey(t, "environment", envSource{}, "")
	if v, ok := os.LookupEnv(envSecret); ok {
		t.Errorf("the variable is still set, to %d bytes", len(v))
	}
	wantKey(t, "once more", envSource{}, "") // from memory
	if _, _, ok := g.on(time.Now().AddDate(0, 0, envDays-1)); !ok {
		t.Error("no key for the last of the days")
	}
	now := time.Now()
	other, err := envSource{}.load(t.Context(), need{now, "other"})
	if err != nil {
		t.Fatal(err)
	}
	day, key, ok := other.on(now)
	if !ok || key != signingKey(dayKey([]byte(testSecret), day, make([]byte, hmacScratch)), "other") {
		t.Error("a store in another region has another key")
	}
	if _, _, ok := other.on(now.AddDate(0, 0, 1)); ok {
		t.Error("the key of all regions was kept for more than a day")
	}
	t.Setenv(envID, "OTHER")
	wantNoKey(t, "another key, whose secret is missing", envSource{}, "AWS_SECRET_ACCESS_KEY is not set")
	t.Setenv(envID, testID)
	t.Setenv(envToken, "token")
	wantNoKey(t, "another token", envSource{}, "AWS_SECRET_ACCESS_KEY is not set")
	t.Setenv(envSecret, testSecret)
	wantKey(t, "environment with a token", envSource{}, "token")
}

func TestCredentials_Profile(t *testing.T) {
	home := bare(t)
	keys := "aws_access_key_id = " + testID + "\naws_secret_access_key=" + testSecret + "\n"
	write(t, filepath.Join(home, ".aws", "credentials"), "# comment\n[other]\naws_access_key_id = X\naws_secret_access_key = Y\n\n[default]\r\n"+keys+
		"[token]\n"+keys+"aws_session_token = to/ken=\n[half]\naws_access_key_id=X\n[process-there]\n"+keys)
	write(t, filepath.Join(home, ".aws", "config"), "[default]\nregion = eu-north-1\ns3 =\n  region = nested\n  aws_access_key_id = nested\n"+
		"[profile token]\nregion = ap-east-1\n[ profile  in-config ]\n"+keys+"; comment\n"+
		"[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n[profile sso]\nsso_session = x\n[profile bare]\nregion = x\n"+
		"[profile process]\ncredential_process = printf '%s' '{\"Version\": 1, \"AccessKeyId\": \""+testID+"\", \"SecretAccessKey\": \""+testSecret+"\"}'\n"+
		"[profile fails]\ncredential_process = echo sorry >&2; exit 3\n[in-config-without-word]\n"+keys)
	find := func(c backends.S3Credentials) *profileSource {
		p, err := findProfile(c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct{ name, token, region string }{
		{"", "", "eu-north-1"}, {"default", "", "eu-north-1"}, {"token", "to/ken=", "ap-east-1"}, {"in-config", "", ""}, {"process", "", ""},
	} {
		p := find(backends.S3Credentials{Profile: c.name})
		wantKey(t, "profile "+c.name, p, c.token)
		if p.region() != c.region || !p.exists() {
			t.Errorf("profile %s: region %q, exists %v", c.name, p.region(), p.exists())
		}
	}
	for name, want := range map[string]string{
		"half": "needs both", "role": "export-credentials", "sso": "SSO", "bare": "neither aws_access_key_id nor credential_process",
		"none": "it is neither in " + home + "/.aws/credentials nor in " + home + "/.aws/config", "in-config-without-word": "it is neither in",
		"fails": "exit status 3: sorry",
	} {
		wantNoKey(t, "profile "+name, find(backends.S3Credentials{Profile: name}), want)
	}
	t.Setenv("AWS_PROFILE", "token")
	wantKey(t, "AWS_PROFILE", find(backends.S3Credentials{}), "to/ken=")
	own := write(t, filepath.Join(home, "own"), "[token]\n"+keys+"aws_session_token=own\n")
	wantKey(t, "a file of one's own", find(backends.S3Credentials{Path: own}), "own")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", own)
	wantKey(t, "AWS_SHARED_CREDENTIALS_FILE", find(backends.S3Credentials{}), "own")
	t.Setenv("AWS_CONFIG_FILE", write(t, filepath.Join(home, "config"), "[profile token]\nregion=elsewhere\n"))
	if region := find(backends.S3Credentials{}).region(); region != "elsewhere" {
		t.Errorf("AWS_CONFIG_FILE: region %q", region)
	}
}

func TestCredentials_Command(t *testing.T) {
	prints := func(text string) *commandSource {
		return &commandSource{command: []string{"printf", "%s", text}, shown: "printf"}
	}
	answer := func(secret, more string) string {
		return fmt.Sprintf(`{"Version": 1, "AccessKeyId": %q, "SecretAccessKey": "%s"%s}`, testID, secret, more)
	}
	wantKey(t, "plain", prints(answer(testSecret, "")), "")
	wantKey(t, "escaped", prints(answer(strings.Replace(strings.ReplaceAll(testSecret, "/", `\u002F`), `\u002F`, `\/`, 1), "")), "")
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	g := wantKey(t, "temporary", prints(answer(testSecret, `, "SessionToken": "to/ken", "Expiration": "`+until.Format(time.RFC3339)+`"`)), "to/ken")
	if g != nil && !g.expires.Equal(until) {
		t.Errorf("ends at %v, not %v", g.expires, until)
	}
	for text, want := range map[string]string{
		"":                             "its output is not",
		"the key is " + testSecret:     "its output is not",
		`{"SecretAccessKey": "wJalr"}`: "version 0, not 1",
		`{"Version": 1, "AccessKeyId": "x", "SecretAccessKey": 7}`:  "its output is not",
		`{"Version": 1, "AccessKeyId": "x"}`:                        "no SecretAccessKey",
		answer(testSecret, `, "Expiration": "tomorrow"`):            "RFC 3339",
		answer(`wJalr\n`, ""):                                       "an unexpected escape",
		answer(`wJalr\u00e9`, ""):                                   "an unexpected escape",
		`{"Version": 1, "AccessKeyId": "", "SecretAccessKey": "x"}`: "the access key id is empty",
		strings.Repeat(" ", 100<<10) + "x":                          "its output is not",
	} {
		wantNoKey(t, fmt.Sprintf("%.60q", text), prints(text), want)
	}
	wantNoKey(t, "too much", &commandSource{command: []string{"head", "-c", "2000000", "/dev/zero"}, shown: "head"}, "more than")
	wantNoKey(t, "no such program", &commandSource{command: []string{"/no/such/program"}, shown: "/no/such/program"}, "no such file")
	wantNoKey(t, "fails", &commandSource{command: []string{"sh", "-c", "echo '" + testSecret + "'; echo please log in >&2; exit 1"}, shown: "sh"}, "exit status 1: please log in")
}

func TestCredentials_Role(t *testing.T) {
	bare(t)
	f := newFake(t)
	f.token = "temporary/token"
	until := time.Now().Add(time.Hour)
	task := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "let me" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId": %q, "SecretAccessKey": %q, "Token": %q, "Expiration": %q}`, testID, testSecret, f.token, until.UTC().Format(time.RFC3339))
	}))
	defer task.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", task.URL)
	wantNoKey(t, "not authorised", newIAM(), "the role of this machine: 403 Forbidden")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me")
	if g := wantKey(t, "role", newIAM(), f.token); g != nil && g.expires.Unix() != until.Unix() {
		t.Errorf("ends at %v, not %v", g.expires, until)
	}
	for _, source := range []string{"iam", ""} { // asked for, and found because there is nothing else
		b, err := f.open(t, "&credentials="+source, backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "iam"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := put(t.Context(), b, "x", "text"); err != nil {
			t.Error(err)
		}
	}
}

// The machine's own service, which wants a token first.
func TestCredentials_Machine(t *testing.T) {
	bare(t)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
	machine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			fmt.Fprint(w, "session")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "session":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
			fmt.Fprint(w, "backup-role")
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/backup-role":
			fmt.Fprintf(w, `{"Code": "Success", "AccessKeyId": %q, "SecretAccessKey": %q, "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}`, testID, testSecret)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer machine.Close()
	iam := newIAM()
	iam.provider.Endpoint = machine.URL
	wantKey(t, "role of a machine", iam, "t")
}

func TestCredentials_Anonymous(t *testing.T) {
	bare(t)
	f := newFake(t)
	f.anonymous = true
	b := f.mustOpen(t, "", backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "anonymous"}}})
	if err := put(t.Context(), b, "x", "text"); err != nil {
		t.Error(err)
	}
}

// The first that there is serves; where there is none, nothing is sent.
func TestCredentials_Found(t *testing.T) {
	home := bare(t)
	f := newFake(t)
	location := "s3://bucket/p?endpoint=" + f.URL
	_, err := f.openParts(t, location, backends.Options{}, parts{})
	if !errors.Is(err, backends.ErrAuth) || backends.Retryable(err) || len(f.seen()) != 0 {
		t.Errorf("no key anywhere: %v", err)
	}
	for _, want := range []string{"no credentials", "AWS_ACCESS_KEY_ID", home + "/.aws/credentials", "role"} {
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	keys := "aws_access_key_id = " + testID + "\naws_secret_access_key=" + testSecret + "\n"
	write(t, filepath.Join(home, ".aws", "credentials"), "[default]\n"+keys+"[other]\n"+keys)
	write(t, filepath.Join(home, ".aws", "config"), "[default]\nregion = profile-region\n")
	for _, c := range []struct {
		set    func()
		region string
		query  string
	}{
		{func() {}, "profile-region", ""},
		{func() {}, "url-region", "&region=url-region"},
		{func() {}, "us-east-1", "&profile=other"},
		{func() { t.Setenv("AWS_DEFAULT_REGION", "default-region") }, "default-region", ""},
		{func() { t.Setenv("AWS_REGION", "env-region") }, "env-region", ""},
		{func() { t.Setenv(envID, testID); t.Setenv(envSecret, testSecret) }, "env-region", ""},
	} {
		c.set()
		f.region = c.region
		if _, err := f.openParts(t, location+c.query, backends.Options{}, parts{}); err != nil {
			t.Errorf("region %s: %v", c.region, err)
		}
	}
	if _, ok := os.LookupEnv(envSecret); ok {
		t.Error("the environment was not asked first")
	}
	t.Setenv(envID, "")
	t.Setenv("AWS_PROFILE", "missing")
	if _, err := f.openParts(t, location, backends.Options{}, parts{}); !errors.Is(err, backends.ErrAuth) || !strings.Contains(err.Error(), "profile missing") {
		t.Errorf("AWS_PROFILE of a profile that is not there: %v", err)
	}
}
