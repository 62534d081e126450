package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"firebench/net/files"
)

// An excerpt is some lines of a file: from the first that matches first to the next that
// matches last.
type excerpt struct {
	title, path string
	language    string // as Markdown names it
	first, last *regexp.Regexp
}

// recipe is a part of a recipe and of what asmgen makes of it.
var recipe = []excerpt{
	{"the recipe", "asmgen/recipes/maxpool.go", "go", regexp.MustCompile(`eachVector\(`), regexp.MustCompile(`^\s*\}\)`)},
	{"AVX-512", "kernels/avx512/maxpool_amd64.s", "asm", regexp.MustCompile(`^vector:`), regexp.MustCompile(`VMOVUPS +Z\d+, +\(`)},
	{"NEON", "kernels/neon/maxpool_arm64.s", "asm", regexp.MustCompile(`^vector:`), regexp.MustCompile(`// str `)},
}

// accuracy is the table of a page that net/accuracy writes.
var accuracy = excerpt{path: "results/accuracy.md", first: regexp.MustCompile(`^\| arithmetic`), last: regexp.MustCompile(`^\n`)}

// compression is the first ladder of the page that net/compress writes, of which README.md has some columns.
var (
	compression        = excerpt{path: "results/compression.md", first: regexp.MustCompile(`^\| step`), last: regexp.MustCompile(`^\n`)}
	compressionColumns = []string{"step", "bytes on disk", "smaller", "ms", "× as fast", "top-1 as the first"}
)

// training is the table of targets of the page that net/train/report writes.
var training = excerpt{path: "results/training.md", first: regexp.MustCompile(`^\| what`), last: regexp.MustCompile(`^\n`)}

// quoteColumns returns some columns of a table in Markdown, by their titles.
func (e excerpt) quoteColumns(root string, titles []string) (string, error) {
	text, err := e.quote(root)
	if err != nil {
		return "", err
	}
	var at []int // places of the columns
	var b strings.Builder
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if at == nil {
			for _, title := range titles {
				i := slices.Index(cells, title)
				if i < 0 {
					return "", fmt.Errorf("%s: no column %q in its table", e.path, title)
				}
				at = append(at, i)
			}
		}
		if line == "\n" {
			break
		}
		for _, i := range at {
			if i >= len(cells) {
				return "", fmt.Errorf("%s: a row of its table is too short: %s", e.path, strings.TrimSpace(line))
			}
			fmt.Fprintf(&b, "| %s ", cells[i])
		}
		b.WriteString("|\n")
	}
	return b.String() + "\n", nil
}

// quoteRecipe quotes the excerpts of recipe side by side.
func quoteRecipe(root string) (string, error) {
	heads, cells := "", ""
	for _, e := range recipe {
		text, err := e.quote(root)
		if err != nil {
			return "", err
		}
		heads += fmt.Sprintf("<th>%s, <a href=\"%s\">%s</a></th>", e.title, e.path, filepath.Base(e.path))
		cells += fmt.Sprintf("<td valign=\"top\">\n\n```%s\n%s```\n\n</td>", e.language, text)
	}
	return "<table>\n<tr>" + heads + "</tr>\n<tr>" + cells + "</tr>\n</table>\n", nil
}

// quote returns the lines of the excerpt.
func (e excerpt) quote(root string) (string, error) {
	data, err := files.Read(filepath.Join(root, filepath.FromSlash(e.path)), limit)
	if err != nil {
		return "", err
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if len(lines) > 0 || e.first.MatchString(line) {
			lines = append(lines, line)
			if len(lines) > 1 && e.last.MatchString(line) {
				return dedent(lines), nil
			}
		}
	}
	if len(lines) == 0 {
		return "", fmt.Errorf("%s: no line matches %q", e.path, e.first)
	}
	return "", fmt.Errorf("%s: no line after %q matches %q", e.path, strings.TrimSpace(lines[0]), e.last)
}

// dedent takes from all lines the tabs that all of them begin with, and makes four spaces of the others.
func dedent(lines []string) string {
	tabs := -1
	for _, line := range lines {
		if n := len(line) - len(strings.TrimLeft(line, "\t")); strings.TrimSpace(line) != "" && (tabs < 0 || n < tabs) {
			tabs = n
		}
	}
	var b strings.Builder
	for _, line := range lines {
		line = line[min(tabs, len(line)-len(strings.TrimLeft(line, "\t"))):]
		b.WriteString(strings.ReplaceAll(line, "\t", "    "))
	}
	return b.String()
}

// example is the file with the example for users of the library.
const example = "net/preprocess/example_test.go"

// quoteExample quotes the first function of the file that holds the example, which must
// run it.
func quoteExample(root string) (string, error) {
	data, err := files.Read(filepath.Join(root, filepath.FromSlash(example)), limit)
	if err != nil {
		return "", err
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, example, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	var first *ast.FuncDecl
	runs := false
	for _, decl := range parsed.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			if first == nil {
				first = f
			}
			runs = runs || strings.HasPrefix(f.Name.Name, "Example")
		}
	}
	if !runs {
		return "", errors.New(example + ": no function Example")
	}
	begin := first.Pos()
	if first.Doc != nil {
		begin = first.Doc.Pos()
	}
	var lines []string
	for line := range strings.Lines(string(data[fset.Position(begin).Offset:fset.Position(first.End()).Offset]) + "\n") {
		lines = append(lines, line)
	}
	return "```go\n" + dedent(lines) + "```\n", nil
}
