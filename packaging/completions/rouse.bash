# Completions of rouse(1) for bash.

_rouse() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' options='' names='' config=() word number
    # For bash the '=' of --option=value is a word of its own.
    if [[ $current == = ]]; then
        current=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    for ((number = 1; number < COMP_CWORD; number++)); do
        word=${COMP_WORDS[number]}
        if [[ $word == --config ]]; then
            [[ ${COMP_WORDS[number + 1]} != = ]] || number=$((number + 1))
            number=$((number + 1))
            config+=(--config "${COMP_WORDS[number]}")
        elif [[ $word == --user ]]; then
            config+=(--user)
        elif [[ $word != -* && $word != = ]]; then
            command=$word
            break
        fi
    done

    COMPREPLY=()
    case $before in
    --config)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --color) names='auto always never' ;;
    --ready)
        names='tcp http:/ http-ok:/ healthy log:'
        compopt -o nospace
        ;;
    --container) names=$(_rouse_containers) ;;
    --for | --idle-timeout | --listen | --port) return ;;
    *)
        case $command in
        status) options='--json --color' names=$(_rouse_sidecars "${config[@]}") ;;
        wake | touch | is-running) names=$(_rouse_sidecars "${config[@]}") ;;
        hold) options='--for' names=$(_rouse_sidecars "${config[@]}") ;;
        sleep) options='--force' names=$(_rouse_sidecars "${config[@]}") ;;
        remove) options='--dry-run --force' names=$(_rouse_sidecars "${config[@]}") ;;
        add)
            options='--container --listen --port --ready --idle-timeout --dry-run --force'
            names=$(_rouse_containers)
            ;;
        check) options='--json' ;;
        metrics) options='--serve' ;;
        run | adopt) ;;
        help | '')
            names='run status wake touch is-running hold sleep adopt check add remove metrics help'
            [[ $command ]] || options='--version'
            ;;
        esac
        [[ $current != -* ]] || names="$options --config --user --help"
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$names" -- "$current")
}

_rouse_sidecars() { command rouse "$@" names 2>/dev/null; }

_rouse_containers() { command docker container ls --all --format '{{.Names}}' 2>/dev/null; }

complete -F _rouse rouse
