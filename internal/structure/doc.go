// Package structure measures how the packages of a module are put together: how many
// files, lines and exported names each has, which functions are long, and how many
// references between its files run back up.
//
// A file refers to another one of its package where it uses a name that the other
// declares at package level; two files make one reference each way, however many names
// are used. A package reads well from top to bottom if its files can be put in an order
// in which each refers only to files below. References that no order avoids, because
// files refer to each other in circles, run back up: they are what a reader has to jump
// back for.
//
// The fewest such references are the minimum feedback arc set of a graph, which is NP-hard.
// Order is a heuristic, that of Eades, Lin and Smyth (1993), improved by moving single
// files for as long as that helps. What it counts is an upper bound, the same one each time.
//
// Only what is compiled for this system with the given tags is measured, without tests.
package structure
