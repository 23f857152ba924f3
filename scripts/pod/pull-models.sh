#!/bin/bash
# Pull and make models with an Ollama of its own, in a pod of Ollama's image: that has bash, and no curl.
# Arguments: MODEL PATH BODY, again and again: what to POST to the API, in this order.
# Prints "MODEL JSON" for what the API answers, of progress one line a second, so that the last line always says how far it is.
set -u
LC_ALL=C # lengths are bytes
START_SECONDS=600
log=/tmp/ollama.log

# Over HTTP/1.0, whose answer is not in chunks and ends with its connection.
ask() {
    { exec 3<>/dev/tcp/127.0.0.1/11434; } 2>/dev/null || return
    printf '%s %s HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' "$1" "$2" "${#3}" "$3" >&3
    cat <&3
    exec 3>&-
}
fail() {
    sed 's/^/ollama: /' "$log" | tail -n 8
    printf '%s\n' "failed: $*"
    exit 1
}

ollama serve >"$log" 2>&1 &
server=$!
# HTTP hangs while it looks for GPUs, so an answer is what counts.
until [[ $(ask GET /api/version '') == *'"version"'* ]]; do
    kill -0 "$server" 2>/dev/null || fail "ollama serve ended at once"
    ((SECONDS < START_SECONDS)) || fail "ollama serve does not answer after $START_SECONDS s"
    sleep 0.5
done

while (($#)); do
    model=$1 path=$2 body=$3
    shift 3
    line='' shown=-1
    while IFS= read -r answer || [[ -n $answer ]]; do
        [[ $answer == '{'* ]] || continue # the answer's head
        line=$answer
        if [[ $line == *'"completed":'* ]]; then
            ((SECONDS > shown)) || continue
            shown=$SECONDS
        fi
        printf '%s\n' "$model $line"
    done < <(ask POST "$path" "$body")
    [[ $line == *'"status":"success"'* ]] || fail "$model: ${line:-no answer}"
done
kill "$server"
echo "done"
