package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	testInDocs   = regexp.MustCompile("`(?:[a-z/]+\\.)?((?:Test|Example|Fuzz|Benchmark)[A-Z_]\\w*)(?:/[^`]*)?`")
)

// TestDocsAreTrue checks what a document says of files and tests: a link leads somewhere, a test that is named exists.
func TestDocsAreTrue(t *testing.T) {
	functions := testFunctions(t)
	for _, doc := range documents(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, link := range markdownLink.FindAllStringSubmatch(line, -1) {
				if strings.Contains(link[1], "://") {
					continue
				}
				if _, err := os.Stat(filepath.Join(filepath.Dir(doc), link[1])); err != nil {
					t.Errorf("%s:%d: link to %s leads nowhere", doc, i+1, link[1])
				}
			}
			for _, name := range testInDocs.FindAllStringSubmatch(line, -1) {
				if !functions[name[1]] {
					t.Errorf("%s:%d: no test is called %s", doc, i+1, name[1])
				}
			}
		}
	}
}

// documents lists README and everything in docs.
func documents(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("../docs", func(p string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(p, ".md") {
			docs = append(docs, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// testFunctions names every test, example, fuzz test and benchmark of the repository, nested modules included.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz|Benchmark)\w*)\(`)
	names := map[string]bool{}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != ".." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
