package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"vaultik/internal/platform"
	"vaultik/internal/words"
)

// schemes are the kinds of store that a URL can name.
var schemes = []string{"file", "s3", "rclone"}

// StoreURL gives a store one form: a bare path is made absolute and becomes a
// file:// URL, a URL is checked and kept. What is wrong with it is said without
// repeating anything that could be a secret.
func StoreURL(s string) (string, error) {
	head, rest, ok := strings.Cut(s, ":")
	if !ok || strings.Contains(head, "/") || filepath.VolumeName(s) != "" {
		return pathURL(s)
	}
	if !strings.HasPrefix(rest, "//") && head != "file" {
		return "", notURL(s, head, rest)
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", errors.New("malformed URL") // the error of package url repeats it
	}
	switch near := didYouMean(u.Scheme, schemes); {
	case !slices.Contains(schemes, u.Scheme) && strings.HasPrefix(near, "did"):
		return "", fmt.Errorf("unknown scheme %q; %s", u.Scheme, near) // of others the backends speak
	case u.User != nil:
		return "", fmt.Errorf("the URL contains a user name or a password; remove them: %s", whereKeysAre(u.Scheme))
	case u.Scheme == "s3" && u.Host == "":
		return "", errors.New("the URL names no bucket; write s3://BUCKET/PREFIX")
	case u.Scheme == "rclone" && u.Host == "":
		return "", errors.New("the URL names no remote; write rclone://REMOTE/PATH")
	}
	if !utf8.ValidString(s) {
		if path := FilePath(s); path != "" {
			return FileURL(path), nil // the same place, as text
		}
		return "", fmt.Errorf("%s is not UTF-8; write the bytes that are not as %%FF",
			words.Printable(s))
	}
	for name := range u.Query() {
		if looksSecret(name) {
			return "", fmt.Errorf("the URL contains a secret, %q; remove it: %s", name, whereKeysAre(u.Scheme))
		}
	}
	return s, nil
}

func pathURL(s string) (string, error) {
	path, err := expandHome(s)
	if err != nil {
		return "", err
	}
	if path == "" {
		return "", errors.New("the store's URL is empty")
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	return FileURL(path), nil
}

// notURL is about "head:rest", as other programs name remotes.
func notURL(s, head, rest string) error {
	if strings.Contains(rest, "@") { // user:password@host
		return errors.New("neither a URL nor clearly a path; write file:///PATH, s3://BUCKET/PREFIX or rclone://REMOTE/PATH")
	}
	scheme, place := "rclone", head+"/"+strings.TrimLeft(rest, "/")
	if head == "s3" {
		scheme, place = "s3", strings.TrimLeft(rest, "/")
	}
	return fmt.Errorf("%q is neither a URL nor clearly a path; for the %s write %s://%s, for a path ./%s",
		s, map[string]string{"s3": "bucket", "rclone": "rclone remote"}[scheme], scheme, place, s)
}

func whereKeysAre(scheme string) string {
	switch scheme {
	case "s3":
		return "the key of S3 comes from the environment, a file, a profile or a command (s3: credentials: in the configuration)"
	case "rclone":
		return "rclone keeps them (rclone config)"
	}
	return "a directory needs none"
}

// looksSecret reports whether a name is that of a secret, which no URL and no key of
// the configuration is.
func looksSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"secret", "password", "passwd", "passphrase", "token", "access_key", "accesskey", "access-key", "api_key", "private_key"},
		func(part string) bool { return strings.Contains(name, part) })
}

// FilePath is the directory of a file store, "" for any other.
func FilePath(storeURL string) string {
	u, err := url.Parse(storeURL)
	if err != nil || u.Scheme != "file" || u.Host != "" && u.Host != "localhost" {
		return ""
	}
	return platform.FilePath(u.Path)
}
