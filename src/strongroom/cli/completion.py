"""`strongroom completion`: the function with which a shell completes our command lines.

The shells run `strongroom` with `_STRONGROOM_COMPLETE` in the environment, as click has it. The functions are our own:
click's know no names of entries, which come from strangers and must be quoted, and no files by their suffix.
"""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete, add_completion_class

from strongroom.cli.completing import SUFFIXES
from strongroom.cli.messages import data
from strongroom.cli.options import SETTINGS

NAME: Final = "strongroom"
VARIABLE: Final = "_STRONGROOM_COMPLETE"

# A folder gets no space behind it: one goes on typing. `compopt -o filenames` has bash quote what it inserts.
_BASH: Final = r"""%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            plain) COMPREPLY+=("$value") ;;
            entry | archive)
                compopt -o filenames
                case $value in */) compopt -o nospace ;; esac
                COMPREPLY+=("$value") ;;
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
        esac
    done < <(IFS=$'\n'; COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH: Final = r"""#compdef %(prog_name)s
%(complete_func)s() {
    local -a plain described entries folders response
    local type value help
    (( $+commands[%(prog_name)s] )) || return 1
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for type value help in "${response[@]}"; do
        case $type in
            plain) if [[ $help == _ ]]; then plain+=("$value"); else described+=("$value:$help"); fi ;;
            entry) if [[ $value == */ ]]; then folders+=("$value"); else entries+=("$value"); fi ;;
            archive) _files -g '*.(#i)(%(suffixes)s)'; return ;;
            dir) _files -/; return ;;
            file) _files; return ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described
    (( $#plain )) && compadd -V unsorted -a plain
    (( $#entries )) && compadd -V unsorted -a entries
    (( $#folders )) && compadd -V unsorted -S '' -a folders
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH: Final = r"""function %(complete_func)s
    for line in (COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) \
        %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l item (string split -m 1 , -- $line)
        switch $item[1]
            case dir
                __fish_complete_directories $item[2]
            case file
                __fish_complete_path $item[2]
            case '*'
                echo $item[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


@add_completion_class
class _Bash(BashComplete):
    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """Run no bash to see which it is: the script may be for another machine."""


@add_completion_class
class _Zsh(ZshComplete):
    source_template = _ZSH.replace("%(suffixes)s", "|".join(suffix[1:] for suffix in SUFFIXES))


@add_completion_class
class _Fish(FishComplete):
    source_template = _FISH


_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}
_EPILOG: Final = """\b
Example: put this line into
  ~/.bashrc                   eval "$(strongroom completion bash)"
  ~/.zshrc, below compinit    eval "$(strongroom completion zsh)"
  ~/.config/fish/config.fish  strongroom completion fish | source
"""


@click.command("completion", context_settings=SETTINGS, short_help="Have the Tab key complete.", epilog=_EPILOG)
@click.argument("shell", type=click.Choice(tuple(_SHELLS)), metavar="bash|zsh|fish")
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Write a script for a shell, with which the Tab key completes verbs, options, archives and names of entries.

    Names of entries are those that can be read without the password, as in a ZIP.
    """
    data(_SHELLS[shell](ctx.find_root().command, {}, NAME, VARIABLE).source().rstrip("\n"))
