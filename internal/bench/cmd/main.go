// Command cmd measures Vaultik beside restic, borg and `tar | zstd -3 | age`, those
// that are installed, and prints a table. Corpora are kept in -dir for the next time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"vaultik/internal/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	vaultik := flag.String("vaultik", "bin/vaultik", "`path` of the program")
	dir := flag.String("dir", filepath.Join(os.TempDir(), "vaultik-bench"), "where corpora and stores go; 12 GB at scale 1")
	runs := flag.Int("runs", 3, "rounds; the table has medians")
	scale := flag.Float64("scale", 1, "size of the corpora")
	corpora := flag.String("corpora", strings.Join(bench.Corpora, ","), "which of them")
	names := flag.String("tools", "vaultik,restic,borg,tar", "which of them")
	flag.Parse()

	tools, missing, err := bench.Tools(ctx, *vaultik, strings.Split(*names, ","))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	var all []bench.Results
	for name := range strings.SplitSeq(*corpora, ",") {
		fmt.Fprintf(os.Stderr, "bench: corpus %s\n", name)
		corpus := filepath.Join(*dir, "corpus-"+name)
		what, err := bench.MakeCorpus(name, corpus, *scale)
		if err != nil {
			return err
		}
		r, err := bench.Measure(ctx, tools, name, corpus, *dir, *runs, func(tool string, round int) {
			fmt.Fprintf(os.Stderr, "bench: %s, round %d of %d: %s\n", name, round+1, *runs, tool)
		})
		if err != nil {
			return err
		}
		r.What = what
		all = append(all, r)
	}
	fmt.Printf("%d processors, medians of %d runs\n\n", runtime.NumCPU(), *runs)
	for _, t := range tools {
		fmt.Printf("* %s: %s\n", t.Name, t.Version)
	}
	slices.Sort(missing)
	for _, name := range missing {
		fmt.Printf("* %s: not installed\n", name)
	}
	for _, r := range all {
		fmt.Printf("* corpus %s: %s\n", r.Corpus, r.What)
	}
	fmt.Println()
	return bench.WriteTable(os.Stdout, tools, all)
}
