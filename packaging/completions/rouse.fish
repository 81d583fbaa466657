# Completions of rouse(1) for fish.

# What was typed before the word at the cursor, with the command and all that follows it in $__rouse_line and the
# configuration in $__rouse_config.
function __rouse_parse
    set -g __rouse_line
    set -g __rouse_config
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --config
                set -a __rouse_config $words[1..2]
                set -e words[1]
            case '--config=*'
                set -a __rouse_config $words[1]
            case --user
                set -a __rouse_config --user
            case '-*'
            case '*'
                set -g __rouse_line $words
                return
        end
        set -e words[1]
    end
end

# Whether the command is one of these; with none, whether it is still to come.
function __rouse_is
    __rouse_parse
    if set -q argv[1]
        set -q __rouse_line[1]; and contains -- $__rouse_line[1] $argv
    else
        not set -q __rouse_line[1]
    end
end

function __rouse_sidecars
    __rouse_parse
    command rouse $__rouse_config names 2>/dev/null
end

function __rouse_containers
    command docker container ls --all --format '{{.Names}}' 2>/dev/null
end

complete -c rouse -f
complete -c rouse -l config -r -F -d 'Read this file instead of /etc/rouse'
complete -c rouse -l user -d 'The sidecars of this user'
complete -c rouse -s h -l help -d 'Show what it does, and its options'

complete -c rouse -n __rouse_is -s V -l version -d 'Print the version'
complete -c rouse -n __rouse_is -a run -d 'The helper, which systemd starts'
complete -c rouse -n __rouse_is -a status -d 'Show all sidecars, or these'
complete -c rouse -n __rouse_is -a wake -d 'Wake a sidecar and wait until it is ready'
complete -c rouse -n __rouse_is -a touch -d 'Count as use of a sidecar'
complete -c rouse -n __rouse_is -a is-running -d 'Say by the exit code whether its container runs'
complete -c rouse -n __rouse_is -a hold -d 'Wake a sidecar and keep it awake'
complete -c rouse -n __rouse_is -a sleep -d 'Put a sidecar to sleep now'
complete -c rouse -n __rouse_is -a adopt -d 'Start the helpers of containers that run without one'
complete -c rouse -n __rouse_is -a check -d 'Say what will not work, and how to mend it'
complete -c rouse -n __rouse_is -a add -d 'Write configuration and socket for containers that exist'
complete -c rouse -n __rouse_is -a remove -d 'Remove what add has written'
complete -c rouse -n __rouse_is -a metrics -d 'Print what was counted of all sidecars'
complete -c rouse -n __rouse_is -a help -d 'Show what a command does'

complete -c rouse -n '__rouse_is status wake touch is-running hold sleep remove' -a '(__rouse_sidecars)' -d Sidecar
complete -c rouse -n '__rouse_is add' -a '(__rouse_containers)' -d Container
complete -c rouse -n '__rouse_is help' -a 'run status wake touch is-running hold sleep adopt check add remove metrics'

complete -c rouse -n '__rouse_is status' -l json -d 'As JSON'
complete -c rouse -n '__rouse_is status' -l color -x -a 'auto always never' -d 'Use colours'
complete -c rouse -n '__rouse_is hold' -l for -x -d 'Return when it is ready, and keep it awake for so long'
complete -c rouse -n '__rouse_is sleep' -l force -d 'Also while it is in use or held'
complete -c rouse -n '__rouse_is check' -l json -d 'As JSON'
complete -c rouse -n '__rouse_is add' -l container -x -a '(__rouse_containers)' -d 'Its container'
complete -c rouse -n '__rouse_is add' -l listen -x -d 'Where clients connect'
complete -c rouse -n '__rouse_is add' -l port -x -d 'The port in the container'
complete -c rouse -n '__rouse_is add' -l ready -x -a 'tcp http:/ http-ok:/ healthy log:' -d 'How to tell that it answers'
complete -c rouse -n '__rouse_is add' -l idle-timeout -x -d 'How long it stays awake unused'
complete -c rouse -n '__rouse_is add' -l dry-run -d 'Show what would be written'
complete -c rouse -n '__rouse_is add' -l force -d 'Overwrite what is there'
complete -c rouse -n '__rouse_is remove' -l dry-run -d 'Show what would be removed'
complete -c rouse -n '__rouse_is remove' -l force -d 'Remove also what was changed since'
complete -c rouse -n '__rouse_is metrics' -l serve -d 'Answer scrapers on the sockets that systemd passes'
