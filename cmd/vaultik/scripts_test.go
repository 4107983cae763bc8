//go:build !race

package main

// scripts are the names of those that are run; nil: all.
var scripts []string
