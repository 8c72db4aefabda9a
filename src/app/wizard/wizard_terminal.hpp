// Where the wizard asks: lines from a terminal, with signals and a width. Tests have one of their own.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace ferula {

struct TypedLine {
  enum class Kind : unsigned char {
    text,
    end,          // Ctrl-D, or the terminal is gone
    interrupted,  // Ctrl-C
    stopped,      // SIGTERM or SIGHUP
  };
  Kind kind = Kind::text;
  std::string text = {};  // without its end of line
};

class WizardTerminal {
 public:
  virtual ~WizardTerminal() = default;
  virtual void show(std::string_view text) = 0;
  virtual TypedLine read_line() = 0;
  /// Columns; at least 20.
  virtual int width() const = 0;
};

/// The terminal of standard input; shows on standard output or, where that is to hold the configuration alone, on
/// standard error. Holds Ctrl-C, SIGTERM and SIGHUP back while it lives: make it before any thread.
std::unique_ptr<WizardTerminal> make_wizard_terminal(bool shows_on_error);

/// A text that is wider than `width` columns in lines that are not, broken at spaces, each behind the first indented by
/// `indent`. A word that is longer has a line of its own. No newline at the end.
std::string wrapped(std::string_view text, int width, int indent);

}  // namespace ferula
