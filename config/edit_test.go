package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vaultik/vault/keys"
)

// However the list is written, it is changed and nothing else is; where it cannot be, the file
// stays as it is.
func TestConfig_SetRecipients(t *testing.T) {
	_, a := recipient(t, true)
	_, b := recipient(t, true)
	_, c := recipient(t, true)
	for _, x := range []struct{ name, before, want, after string }{
		{"added", "# x\nage_recipients:\n  - A # mine\n\n# sets\nsnapshots:\n  s: {paths: [/x]}\n", "A B",
			"# x\nage_recipients:\n  - A # mine\n  - B\n\n# sets\nsnapshots:\n  s: {paths: [/x]}\n"},
		{"removed", "age_recipients:\n- A\n- 'B'\nstorage_url: /s\n", "B", "age_recipients:\n- 'B'\nstorage_url: /s\n"},
		{"replaced", "age_recipients:\n    # two\n    - \"A\"\n    - B", "C", "age_recipients:\n  - C\n    # two\n"},
		{"both", "age_recipients:\r\n  - A\r\n  - B\r\n", "B C", "age_recipients:\r\n  - B\r\n  - C\n"},
		{"the same", "age_recipients: [A]\n", "A", ""},
		{"in brackets", "age_recipients: [A]\n", "A B", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := strings.NewReplacer("A ", a+" ", "A\n", a+"\n", "A\r", a+"\r", "A]", a+"]", "A\"", a+"\"",
				"B\n", b+"\n", "B\r", b+"\r", "B'", b+"'", "C\n", c+"\n")
			text := func(s string) string {
				if !strings.Contains(s, "storage_url") {
					s = "storage_url: /s\n" + s
				}
				return strings.TrimSuffix(r.Replace(s+"\n"), "\n")
			}
			file := filepath.Join(t.TempDir(), "c.yaml")
			before := text(x.before)
			if err := os.WriteFile(file, []byte(before), 0o640); err != nil {
				t.Fatal(err)
			}
			conf, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := keys.ParseRecipients(strings.Fields(strings.NewReplacer("A", a, "B", b,
				"C", c).Replace(x.want)))
			if err != nil {
				t.Fatal(err)
			}
			err = conf.SetRecipients(want)
			after := before
			if x.after != "" {
				after = text(x.after)
			} else if err == nil {
				t.Error("no error")
			}
			if x.after != "" && err != nil {
				t.Error(err)
			}
			if got, _ := os.ReadFile(file); string(got) != after {
				t.Errorf("%q\nwant %q", got, after)
			}
			if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o640 {
				t.Errorf("%v %v", st.Mode(), err)
			}
		})
	}
}
