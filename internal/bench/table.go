package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Results are the samples of one corpus, by tool.
type Results struct {
	Corpus, What string
	Samples      map[string][]Sample
}

// WriteTable prints medians in Markdown: seconds, MiB.
func WriteTable(w io.Writer, tools []*Tool, all []Results) error {
	head, line := "| corpus | step |", "| --- | --- |"
	for _, t := range tools {
		head += " " + t.Name + " |"
		line += " ---: |"
	}
	rows := []string{head, line}
	for _, r := range all {
		for _, row := range []struct {
			name string
			cell func([]Sample) string
		}{
			{"first: s (CPU s, MiB)", steps(func(s Sample) *Usage { return s.First })},
			{"store: MiB", func(s []Sample) string {
				return fmt.Sprintf("%.0f", mib(median(s, func(s Sample) int64 { return s.Store })))
			}},
			{"unchanged", steps(func(s Sample) *Usage { return s.Again })},
			{"restore", steps(func(s Sample) *Usage { return s.Restore })},
		} {
			text := "| " + r.Corpus + " | " + row.name + " |"
			for _, t := range tools {
				text += " " + row.cell(r.Samples[t.Name]) + " |"
			}
			rows = append(rows, text)
		}
	}
	_, err := fmt.Fprintln(w, strings.Join(rows, "\n"))
	return err
}

func steps(pick func(Sample) *Usage) func([]Sample) string {
	return func(samples []Sample) string {
		samples = slices.DeleteFunc(slices.Clone(samples), func(s Sample) bool { return pick(s) == nil })
		if len(samples) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f (%.1f, %.0f)",
			median(samples, func(s Sample) time.Duration { return pick(s).Wall }).Seconds(),
			median(samples, func(s Sample) time.Duration { return pick(s).CPU }).Seconds(),
			mib(median(samples, func(s Sample) int64 { return pick(s).Peak })))
	}
}

// median answers the middle one, of an even number the lower of the two, or zero of none.
func median[T cmp.Ordered](samples []Sample, pick func(Sample) T) (m T) {
	if len(samples) == 0 {
		return m
	}
	var list []T
	for _, s := range samples {
		list = append(list, pick(s))
	}
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
