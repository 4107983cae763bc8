package s3

import (
	"os"
	"path/filepath"
	"testing"

	"vaultik/backends"
)

// Keys are found in files as editors and shells leave them: a byte order mark, comments,
// ends of lines.
func TestCredentials_AsTheyAreLeft(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark": "\xef\xbb\xbf" + testID + "\r\n" + testSecret + "\r\n",
		"comments":        "# the backup key\n" + testID + "\n; its secret\n  " + testSecret + " \n\n",
		"mark, comment":   "\xef\xbb\xbf# key\n" + testID + "\n" + testSecret,
	} {
		f := newFake(t)
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{
			Source: "file", Path: path}}}
		if _, err := f.open(t, "", o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		section := "\xef\xbb\xbf[default]\naws_access_key_id=" + testID +
			"\naws_secret_access_key=" + testSecret + "\n"
		if err := os.WriteFile(path, []byte(section), 0o600); err != nil {
			t.Fatal(err)
		}
		o.S3.Credentials.Source = "profile"
		if _, err := f.open(t, "", o); err != nil {
			t.Errorf("profile: %v", err)
		}
	}
	f := newFake(t)
	t.Setenv(envID, testID+"\n")
	t.Setenv(envSecret, testSecret+"\r\n")
	o := backends.Options{S3: backends.S3Options{Credentials: backends.S3Credentials{Source: "env"}}}
	if _, err := f.open(t, "", o); err != nil {
		t.Errorf("environment: %v", err)
	}
}
