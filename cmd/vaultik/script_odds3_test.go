package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vaultik/internal/testserver"
)

// oddS3 starts a server of S3 that is not as it should be: odds3 VAR puts the URL of a store
// there into a variable. odds3 -be KIND [VAR] then says in which way, see oddities.
func oddS3(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 1 {
		t, ok := ts.Value(scriptTest{}).(testing.TB)
		if !ok {
			ts.Fatalf("a script without a test")
		}
		s := testserver.NewOddS3(t)
		ts.Value(scriptOdd{}).(*scriptOdd).s3 = s
		ts.Setenv(args[0], s.StoreURL("backups"))
		return
	}
	odd, ok := oddities[args[len(args)-1]]
	if !ok || args[0] != "-be" {
		ts.Fatalf("usage: odds3 VAR, or odds3 -be KIND")
	}
	ts.Value(scriptOdd{}).(*scriptOdd).s3.Be(odd)
}

// scriptOdd has the server of a script.
type scriptOdd struct{ s3 *testserver.OddS3 }

var oddities = map[string]testserver.Oddity{
	"sane":          {},
	"without-range": {NoRanges: true},
	"unsorted":      {Order: slices.Reverse[[]string]},
	"archived":      refusing("/b/", http.StatusForbidden, "InvalidObjectState"),
	"all-archived":  refusing("/m/", http.StatusForbidden, "InvalidObjectState"),
	"forbidden":     refusing("/b/", http.StatusForbidden, "AccessDenied"),
}

// refusing does not give objects whose names have a part.
func refusing(part string, status int, code string) testserver.Oddity {
	return testserver.Oddity{Answer: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) {
			return false
		}
		testserver.RefuseS3(w, status, code, "it cannot be read")
		return true
	}}
}
