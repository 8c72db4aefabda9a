#!/usr/bin/env python3
"""What docs_commands.py and docs_messages.py take for a page that tells the truth, and what not."""

import pathlib
import tempfile
import unittest

from docs_blocks import Reader, blocks_of, matches, rewrite
from docs_messages import is_said, strings_of

PAGE = """
```sh
echo one; \\
  echo two
```
```console exit-3
$ echo 24 GiB; exit 3
24   GiB
$ echo late
```
```sh needs-luck
true
```
"""


class DocsBlocks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.source = pathlib.Path(folder.name)
        (self.source / "docs").mkdir()
        (self.source / "README.md").write_text(PAGE)

    def test_output_may_differ_in_white_space_and_where_the_page_leaves_out(self):
        self.assertTrue(matches("a rank  needs\n 5 GiB, and\n", ["a rank needs … GiB,", "  and"]))
        self.assertTrue(matches("", []))
        self.assertFalse(matches("a rank needs 5 GiB", ["a rank needs 6 GiB"]))
        self.assertFalse(matches("a rank needs 5 GiB, and more", ["a rank needs 5 GiB"]))
        self.assertFalse(matches("said", []))

    def test_blocks_have_commands_and_output(self):
        plain, console, unknown = blocks_of(self.source)
        self.assertEqual([command for _, command, _ in plain.commands()], ["echo one; echo two"])
        self.assertEqual([said for _, _, said in console.commands()], [["24   GiB"], []])
        self.assertEqual((console.code(), console.unknown_tags()), (3, []))
        self.assertEqual(unknown.unknown_tags(), ["needs-luck"])

    def test_a_reader_reports_output_and_codes_that_differ_and_mends_the_page(self):
        reader = Reader(self.source)
        for block in blocks_of(self.source):
            reader.read(block)
        self.assertEqual(len(reader.failures), 2, reader.failures)  # `late` is not said, and ends with 0
        rewrite(self.source, reader)
        self.assertIn("$ echo late\nlate\n```", (self.source / "README.md").read_text())

    def test_a_message_is_one_string_of_the_program_with_what_is_filled_in(self):
        code = 'say("a \\"rank\\" of {} " /* - */\n  "holds {:.1f} MiB", \'"\', R"(raw "$code" text)"); // "no string"'
        texts = strings_of(code)
        self.assertEqual(texts, ['a "rank" of {} holds {:.1f} MiB', 'raw "$code" text'])
        self.assertTrue(is_said(["of", "holds", "MiB"], texts))
        self.assertTrue(is_said(["raw", "text"], texts))
        self.assertFalse(is_said(["of", "MiB"], texts))  # a word of the program is left out
        self.assertFalse(is_said(["holds 5 MiB"], texts))


if __name__ == "__main__":
    unittest.main()
