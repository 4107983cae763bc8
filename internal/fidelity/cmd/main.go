// Command cmd makes a tree with every attribute of a file system, has Vaultik and the
// other programs that are installed save and restore it, and prints what became of each.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"vaultik/internal/fidelity"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fidelity:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	vaultik := flag.String("vaultik", "bin/vaultik", "`path` of the program")
	dir := flag.String("dir", os.TempDir(), "`directory` to work in: its file system is the one that is judged")
	out := flag.String("o", "", "write the page to this `file`; else to the terminal")
	verbose := flag.Bool("v", false, "also say what differs, and what the programs said")
	flag.Parse()
	if os.Geteuid() != 0 {
		return fmt.Errorf("only root can make and restore all of it: sudo make fidelity")
	}
	work, err := os.MkdirTemp(*dir, "vaultik-fidelity-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what was measured is printed
	log := func(string, ...any) {}
	if *verbose {
		log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "fidelity: "+format+"\n", args...) }
	}
	tools, absent, err := fidelity.Tools(ctx, *vaultik, filepath.Join(work, "tools"))
	if err != nil {
		return err
	}
	rows, err := fidelity.Measure(ctx, tools, work, log)
	if err != nil {
		return err
	}
	for _, r := range rows {
		for i, f := range r.Fates {
			if !f.Restored {
				log("%s, %s: %s", r.Name, tools[i].Name, f.Why)
			}
		}
		if r.Missing != nil {
			log("%s is not on this machine: %v", r.Name, r.Missing)
		}
	}
	var page bytes.Buffer
	if err := fidelity.Write(&page, tools, absent, rows, say("uname", "-sr"), say("stat", "-f", "-c", "%T", work), time.Now()); err != nil {
		return err
	}
	if *out != "" {
		return os.WriteFile(*out, page.Bytes(), 0o644)
	}
	_, err = os.Stdout.Write(page.Bytes())
	return err
}

// say is the one line that a program prints, "" if it cannot be run.
func say(name string, args ...string) string {
	b, _ := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(b))
}
