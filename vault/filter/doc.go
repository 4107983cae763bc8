// Package filter decides by patterns which paths are meant: excluded from a
// backup, or included in a restore. Patterns mean what the manual of restic says
// ("Excluding files"):
//
//   - A pattern is compared component by component. In one component * stands for
//     any characters, ? for one, [a-z] and [^a-z] for one of a class, and \ takes
//     the meaning from what follows: the syntax of path.Match.
//   - A component ** stands for any number of components, none included.
//   - A pattern with a leading / begins at the root. Any other may begin at every
//     component: foo is a file or directory of that name anywhere, a/b one called b
//     in a directory called a.
//   - What lies below a match is matched as well: foo matches /x/foo/y.
//   - With a trailing / it matches directories only (to restic that means nothing).
//   - ! before a pattern takes back the matches of those before it: the last
//     pattern that matches decides. A walk does not enter an excluded directory,
//     so nothing inside one can be taken back.
//
// Files of patterns have one a line, see [Read]. [Rules] are all that decides what a
// backup saves: patterns, ignore files, tags, sizes, and what was named.
//
// Three things are stricter than there, because they would leave out nothing, or
// everything, in silence: ** as part of a component (foo**), a pattern that no
// path can match (../foo), and in files a variable that is not set. One is
// as documented where the program is not: /a/**/b/**/c matches /a/b/c.
//
// Paths are raw bytes. A [List] is immutable and safe for many goroutines.
package filter
