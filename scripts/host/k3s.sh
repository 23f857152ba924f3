# Sent after emit.sh, in front of scripts that ask about K3s on this host.
# shellcheck shell=sh disable=SC2317  # functions are called through emit
k3s_unit() {
    for unit in k3s k3s-agent; do
        [ -e "/etc/systemd/system/$unit.service" ] && echo "$unit" && return
    done
    return 1
}
k3s_active() { systemctl is-active "$(k3s_unit)"; }
