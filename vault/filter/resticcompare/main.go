// Command resticcompare holds package filter against the restic that is
// installed: it makes random trees and pattern lists, lets
// `restic backup --dry-run` decide, and compares. With -record it writes what
// restic decided as the table that the tests of package filter read.
//
//	go run ./vault/filter/resticcompare -cases 400 -runs 8
//
// One run of restic takes about a second, so most cases share one: each has a
// directory of its own and patterns that begin with its path. Patterns that begin
// anywhere take a run each. restic before 0.19 filters the named paths too, and
// does not take a second ** of one pattern for "no directory", so neither is made.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vaultik/vault/filter"
	"vaultik/vault/fs"
	"vaultik/vault/page"
)

// decided is what restic kept of a tree.
type decided struct {
	dir      string
	patterns []string
	tree     []string // directories end in /
	kept     []string
}

func main() {
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of trees and patterns")
	cases := flag.Int("cases", 400, "cases in the shared run")
	runs := flag.Int("runs", 5, "runs with patterns that begin anywhere")
	record := flag.String("record", "", "file to write the table to")
	flag.Parse()
	fmt.Printf("seed %d\n", *seed)
	if err := compare(*seed, *cases, *runs, *record); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func compare(seed uint64, cases, runs int, record string) (err error) {
	top, err := os.MkdirTemp("", "vf")
	if err != nil {
		return err
	}
	defer func() {
		if rerr := os.RemoveAll(top); err == nil {
			err = rerr
		}
	}()
	g := &generator{rand.New(rand.NewPCG(seed, 1))}
	r := restic{repo: filepath.Join(top, "repo")}
	if _, err := r.run("init"); err != nil {
		return err
	}
	var table []decided
	root := filepath.Join(top, "shared")
	var all []string
	lists := make([][]string, cases)
	for i := range lists {
		dir := filepath.Join(root, fmt.Sprintf("case%04d", i))
		if err := g.tree(dir, 3); err != nil {
			return err
		}
		for n := 1 + g.IntN(4); n > 0; n-- {
			lists[i] = append(lists[i], g.below(dir))
		}
		all = append(all, lists[i]...)
	}
	kept, err := r.kept(root, all)
	if err != nil {
		return err
	}
	wrong := 0
	for i := range lists {
		dir := filepath.Join(root, fmt.Sprintf("case%04d", i))
		d, ok, err := check(dir, lists[i], kept)
		if err != nil {
			return err
		}
		table = append(table, d)
		wrong += count(ok)
	}
	for range runs {
		dir := filepath.Join(top, "one")
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := g.tree(dir, 4); err != nil {
			return err
		}
		var list []string
		for n := 1 + g.IntN(4); n > 0; n-- {
			list = append(list, g.anywhere())
		}
		kept, err := r.kept(dir, list)
		if err != nil {
			return err
		}
		d, ok, err := check(dir, list, kept)
		if err != nil {
			return err
		}
		table = append(table, d)
		wrong += count(ok)
	}
	fmt.Printf("%d lists of patterns compared, %d differ\n", len(table), wrong)
	if record != "" {
		if err := write(record, top, table); err != nil {
			return err
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d lists differ", wrong)
	}
	return nil
}

func count(ok bool) int {
	if ok {
		return 0
	}
	return 1
}

// check compares what a walk keeps of dir with what restic kept.
func check(dir string, list []string, kept map[string]bool) (d decided, ok bool, err error) {
	d = decided{dir: dir, patterns: list}
	var plain []string // to restic a slash at the end means nothing
	for _, p := range list {
		plain = append(plain, strings.TrimRight(p, "/"))
	}
	l, err := filter.Compile(filter.From("case", plain...), filter.Options{})
	if err != nil {
		return d, false, err
	}
	var ours []string
	walk := func(r *filter.Rules, out *[]string) error {
		return fs.Walk(context.Background(), []string{dir}, fs.WalkOptions{Choose: r.Walk(nil)}, func(it fs.WalkItem) error {
			switch {
			case it.Err != nil:
				return it.Err
			case it.Implied:
			case it.Stat.Type == page.Dir:
				*out = append(*out, "/"+it.Path+"/")
			default:
				*out = append(*out, "/"+it.Path)
			}
			return nil
		})
	}
	if err := walk(&filter.Rules{After: []*filter.List{l}}, &ours); err != nil {
		return d, false, err
	}
	if err := walk(&filter.Rules{}, &d.tree); err != nil {
		return d, false, err
	}
	for _, p := range d.tree {
		if kept[p] {
			d.kept = append(d.kept, p)
		}
	}
	if slices.Equal(ours, d.kept) {
		return d, true, nil
	}
	fmt.Printf("differs: %q\n  restic keeps %q\n  filter keeps %q\n", list, d.kept, ours)
	return d, false, nil
}

// write records the table, with the temporary directory by a name that lasts. A
// line is a pattern (p), the directory (d), or a path in it that restic kept (+)
// or left out (-); an empty line ends a case.
func write(file, top string, table []decided) error {
	var b bytes.Buffer
	for _, d := range table {
		for _, p := range d.patterns {
			fmt.Fprintf(&b, "p%s\n", p)
		}
		fmt.Fprintf(&b, "d%s\n", d.dir)
		for _, p := range d.tree {
			mark := "-"
			if slices.Contains(d.kept, p) {
				mark = "+"
			}
			fmt.Fprintf(&b, "%s%s\n", mark, strings.TrimPrefix(p, d.dir))
		}
		b.WriteByte('\n')
	}
	name := filepath.Base(top)
	last := "vf" + strings.Repeat("0", len(name)-2)
	return os.WriteFile(file, bytes.ReplaceAll(b.Bytes(), []byte(name), []byte(last)), 0o644) //nolint:gosec // a table for everybody
}

// restic runs the program on a repository of its own.
type restic struct{ repo string }

func (r restic) run(args ...string) ([]byte, error) {
	c := exec.Command("restic", append([]string{"--no-cache", "-r", r.repo, "--json"}, args...)...) //nolint:gosec // that is the purpose
	c.Env = append(os.Environ(), "RESTIC_PASSWORD=compare")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("run restic %q: %w", args, err)
	}
	return out, nil
}

// kept are the files and directories that restic would save.
func (r restic) kept(dir string, list []string) (map[string]bool, error) {
	file := r.repo + ".exclude"
	text := strings.ReplaceAll(strings.Join(list, "\n"), "$", "$$") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	out, err := r.run("backup", "--dry-run", "-vv", "--exclude-file", file, dir)
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var m struct{ Action, Item string }
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("read line of restic: %w", err)
		}
		if m.Action == "new" {
			kept[m.Item] = true
		}
	}
	return kept, lines.Err()
}
