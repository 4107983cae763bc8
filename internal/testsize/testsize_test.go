package testsize

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Whatever way a random test fails, the seed is in its output, and repeats it.
func TestSeed_Printed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, how, say string }{
		{"Seed", "error", "SEED=40 SEEDS=1 go test -count=1 -run '^TestFails$' ./internal/testsize"},
		{"Seed", "fatal", "SEED=40 SEEDS=1 "},
		{"Seed", "subtest", "SEED=40 SEEDS=1 "},
		{"Seeds", "error", "SEED=42 SEEDS=1 go test -count=1 -run '^TestFails$' ./internal/testsize"},
		{"Seeds", "fatal", "SEED=42 SEEDS=1 "},
		{"Seeds", "subtest", "SEED=42 SEEDS=1 "},
		{"Seeds", "panic", "SEED=42 SEEDS=1 "},
		{"Seed", "no", ""},
		{"Seeds", "no", ""},
		{"Seeds", "skip", ""},
	} {
		t.Run(c.name+"/"+c.how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestFails$", "-test.v")
			cmd.Env = append(os.Environ(), "SEED=40", "SEEDS=5", "TESTSIZE_FAILS="+c.name+" "+c.how)
			b, err := cmd.CombinedOutput()
			out := string(b)
			if failed := err != nil; failed != (c.say != "") {
				t.Fatalf("failed: %v\n%s", failed, out)
			}
			if n := strings.Count(out, "repeat it with"); (n > 0) != (c.say != "") || n > 1 || !strings.Contains(out, c.say) {
				t.Errorf("printed %d times, want %q in:\n%s", n, c.say, out)
			}
			if strings.Contains(out, "tried 43") != (c.how == "no" && c.name == "Seeds") {
				t.Errorf("the first seed that fails is to be the last:\n%s", out)
			}
		})
	}
}

// TestFails is the test that fails, run by the other one.
func TestFails(t *testing.T) {
	name, how, ok := strings.Cut(os.Getenv("TESTSIZE_FAILS"), " ")
	if !ok {
		t.Skip("only TestSeed_Printed runs it")
	}
	fail := func() {
		switch how {
		case "error":
			t.Error("an error")
		case "fatal":
			t.Fatal("fatal")
		case "subtest":
			t.Run("below", func(t *testing.T) { t.Fatal("fatal") })
		case "panic":
			panic("a bug")
		case "skip":
			t.Skip("not here")
		}
	}
	if name == "Seed" {
		t.Log("tried", Seed(t))
		fail()
		return
	}
	for seed := range Seeds(t, 1) {
		t.Log("tried", seed)
		if seed == 42 {
			fail()
		}
	}
}
