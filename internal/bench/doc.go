// Package bench measures Vaultik beside other programs on the same files: it makes
// corpora, runs backup, backup of an unchanged tree and restore with each tool in
// turn, and prints a table of medians.
//
// The tools take turns within each round, so that a slow minute of the machine
// hits all of them. Files are in the page cache; what a run left to be written is
// synced before the next begins. CPU time and peak memory are those the kernel
// reports for the finished process; of a pipeline they are summed.
package bench
