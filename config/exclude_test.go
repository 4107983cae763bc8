package config

import (
	"strings"
	"testing"
)

func TestParse_Exclude(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	t.Setenv("DATA", "/data")
	_, r := recipient(t, true)
	head := "storage_url: /s\nage_recipients: [" + r + "]\nindex_path: /i\nsnapshots:\n  a:\n    paths: [/x]\n"
	c, err := Parse("c.yaml", []byte(head+"    exclude:\n      - '*.o'\n      - \"!~/keep\"\n      - ~/tmp\n      - $DATA/x\n"+
		"      - \"~$$*\"\n      - foo/**/bar\n    exclude_file: [~/ex, /y]\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Sets[0]
	if got := strings.Join(texts(s.Exclude), " "); got != "*.o !/home/u/keep /home/u/tmp /data/x ~$* foo/**/bar" {
		t.Errorf("patterns %q", got)
	}
	if s.Exclude[1].Source != "c.yaml:9" || strings.Join(s.ExcludeFiles, " ") != "/home/u/ex /y" {
		t.Errorf("%+v", s)
	}
	shown := YAML(c.Settings(Places{}))
	d, err := Parse("c.yaml", []byte(shown))
	if err != nil || YAML(d.Settings(Places{})) != shown || strings.Join(texts(d.Sets[0].Exclude), " ") != strings.Join(texts(s.Exclude), " ") {
		t.Errorf("%v in\n%s", err, shown)
	}
}

func TestParse_ExcludeErrors(t *testing.T) {
	_, r := recipient(t, true)
	head := "storage_url: /s\nage_recipients: [" + r + "]\nsnapshots:\n  a:\n    paths: [/x]\n"
	for text, want := range map[string]string{
		"exclude: ['a[']":                                   `c.yaml:6: snapshots: a: exclude: pattern "a[": the characters between [ and ]`,
		"exclude: [ok, foo/**bar]":                          `c.yaml:6: snapshots: a: exclude: pattern "foo/**bar": ** must be`,
		"exclude:\n      - ok\n      - $NOT_SET_ANYWHERE/x": `c.yaml:8: snapshots: a: exclude: pattern "$NOT_SET_ANYWHERE/x": the variable NOT_SET_ANYWHERE is not set`,
		"exclude:\n      - *":                               "c.yaml:7: not YAML: undefined alias name; a value that begins with * or & must be quoted",
		"exclude:\n      - *.o":                             "c.yaml:7: snapshots: a: exclude: a pattern that begins with",
		"exclude:\n      - !foo":                            "c.yaml:7: snapshots: a: exclude: a pattern that begins with *, ! or & must be quoted",
		"exclude: '*.o'":                                    "c.yaml:6: snapshots: a: exclude must be a list",
		"exclude: []":                                       "c.yaml:6: snapshots: a: exclude is an empty list",
		"exclude: ['']":                                     "c.yaml:6: snapshots: a: exclude is empty",
		"exclude_file: [relative]":                          "c.yaml:6: snapshots: a: exclude_file: \"relative\" is not an absolute path",
		"excludes: [a]":                                     `c.yaml:6: unknown key "excludes" in snapshots: a; did you mean "exclude"?`,
	} {
		_, err := Parse("c.yaml", []byte(head+"    "+text+"\n"))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}
