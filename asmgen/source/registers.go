package source

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mmcloughlin/avo/reg"
)

// legend begins each map.
const legend = "Registers, a slash between what one of them holds by turns:"

// temporary is what registers hold that got no name.
const temporary = "temporary"

// registers returns the map of a function's registers, as lines of a comment: which
// register holds what, integers first. It comes from the allocation, so it tells what the
// instructions do.
func (f *File) registers(allocation reg.Allocation, register func(reg.ID) string) []string {
	// What each register holds, in the order of naming: one register serves several values,
	// one after the other.
	held := map[reg.ID][]name{}
	named := map[reg.ID]bool{}
	for _, n := range f.names {
		if p, ok := allocation[n.register]; ok {
			named[n.register] = true
			if !slices.ContainsFunc(held[p], func(h name) bool { return h.text == n.text && h.index == n.index }) {
				held[p] = append(held[p], n)
			}
		}
	}
	for v, p := range allocation {
		if last := len(held[p]) - 1; !named[v] && (last < 0 || held[p][last].text != temporary) {
			held[p] = append(held[p], name{text: temporary, index: -1})
		}
	}

	// Neighbours that hold the same, or consecutive parts of it, make one entry.
	byNumber := func(a, b reg.ID) int {
		return cmp.Or(cmp.Compare(a.Kind(), b.Kind()), cmp.Compare(a.Index(), b.Index()))
	}
	var lines []string
	all := slices.SortedFunc(maps.Keys(held), byNumber)
	for len(all) > 0 {
		kind := all[0].Kind()
		var entries []string
		for len(all) > 0 && all[0].Kind() == kind {
			n := 1
			for n < len(all) && numbered(register(all[0])) && follows(all[n-1], all[n], held) {
				n++
			}
			entries = append(entries, entry(all[:n], held, register)+",")
			all = all[n:]
		}
		entries[len(entries)-1] = strings.TrimSuffix(entries[len(entries)-1], ",")
		lines = append(lines, wrap(entries)...)
	}
	if lines == nil {
		return nil
	}
	return append([]string{legend}, lines...)
}

// follows reports whether register b continues the entry that ends with a.
func follows(a, b reg.ID, held map[reg.ID][]name) bool {
	return a.Kind() == b.Kind() && a.Index()+1 == b.Index() && slices.EqualFunc(held[a], held[b], func(a, b name) bool {
		return a.text == b.text && (a.index < 0 && b.index < 0 || a.index >= 0 && a.index+1 == b.index)
	})
}

// numbered reports whether a register's name is a letter and its number, so that its
// neighbours can be told by their names.
func numbered(name string) bool {
	_, err := strconv.Atoi(name[1:])
	return err == nil
}

// entry says what a run of registers holds.
func entry(registers []reg.ID, held map[reg.ID][]name, register func(reg.ID) string) string {
	s := register(registers[0])
	if len(registers) > 1 {
		s += "-" + register(registers[len(registers)-1])
	}
	var texts []string
	for _, n := range held[registers[0]] {
		switch {
		case n.index >= 0 && len(registers) > 1:
			n.text += fmt.Sprintf("[%d:%d]", n.index, n.index+len(registers))
		case n.index >= 0:
			n.text += fmt.Sprintf("[%d]", n.index)
		}
		texts = append(texts, n.text)
	}
	return s + " " + strings.Join(texts, "/")
}

// width is the length that lines of comments should not exceed.
const width = 100

// wrap joins words to lines.
func wrap(words []string) []string {
	lines := words[:1:1]
	for _, w := range words[1:] {
		if last := &lines[len(lines)-1]; len(*last)+1+len(w) <= width {
			*last += " " + w
		} else {
			lines = append(lines, w)
		}
	}
	return lines
}
