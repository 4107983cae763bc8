package events

import (
	"encoding/json"
	"testing"
	"time"
)

// TestLine_Bytes: wherever the texts of an event are, none of their bytes gets lost, and what
// is UTF-8 stays as it is.
func TestLine_Bytes(t *testing.T) {
	now, n, odd := time.Unix(1e9, 5).UTC(), int64(7), "ü\t\xffx\ufffd"
	of := func(s string) []any {
		return []any{
			WarningOf(s, "at %s", s),
			Error{Type: "error", Message: s, Hint: s, Choices: []string{"a", s}},
			Check{Type: "check", Name: s, Detail: s, Hint: s},
			Item{Type: "item", PathText: PathOf("a"), Reason: s},
			Problem{Type: "problem", Reason: s, Lost: []string{s}, Paths: []PathText{PathOf("a")}},
			Restored{Type: "restored", Problems: []ItemProblem{{PathOf("a"), s, s}},
				Attributes: []AttributeSum{{What: "mode", Reason: s}}},
			StoreInfo{Type: "store-info", URL: s, Created: now, Total: &n,
				Hosts: []StoreHost{{Host: s, Roles: []string{s}, Revoked: &now}}},
			Copied{Type: "copied", To: s},
			Retry{Type: "retry", Store: s, Reason: s},
			Config{Type: "config", Sets: map[string]map[string]any{"x": {"y": []string{s},
				"z": [][]byte{{0xff}}}}},
			Entry{Type: "entry", Xattrs: []Xattr{{Name: "a", Value: []byte{0xff}}}},
		}
	}
	escaped := of(`ü` + "\t" + `\xffx` + "\ufffd")
	for i, event := range of(odd) {
		want, err := json.Marshal(escaped[i])
		if err != nil {
			t.Fatal(err)
		}
		if got := Line(event); got != string(want)+"\n" {
			t.Errorf("\n%s, want\n%s", got, want)
		}
		if same := Line(escaped[i]); same != string(want)+"\n" {
			t.Errorf("what is UTF-8 changed:\n%s", same)
		}
	}
}
