# Completion of inv in Bash: commands, their options, and the names that --hosts takes. In ~/.bashrc:
#   . /path/to/scout-ollama/scripts/completion.bash
# In zsh the same, after: autoload -U +X bashcompinit && bashcompinit
# shellcheck shell=bash

_inv() {
    local line word before candidates
    line=${COMP_LINE:0:COMP_POINT}
    word=${line##*[[:space:]]}
    read -ra before <<<"${line%"$word"}"
    if [ "${before[*]: -1}" = --hosts ]; then
        _inv_hosts "$word"
        return
    fi
    candidates=$(inv --complete -- "${COMP_WORDS[*]}" 2>/dev/null)
    mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$word")
}

# What was typed may be a list, of which the last term is completed; Bash itself keeps what stands before a colon.
_inv_hosts() {
    local term=${1##*,} listed names
    listed=${1%"$term"}
    names=$("$(dirname "$(command -v inv)")/python" -m scout_ollama.inventory.names "${SCOUT_SITE:-hosts}" 2>/dev/null)
    mapfile -t COMPREPLY < <(compgen -P "$listed" -W "$names" -- "$term")
    [[ $1 != *:* ]] || COMPREPLY=("${COMPREPLY[@]#"${1%:*}:"}")
}

complete -F _inv -o default inv
