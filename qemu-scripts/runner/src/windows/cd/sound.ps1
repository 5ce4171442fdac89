# Waits until the audio services run, the card's device works and an endpoint is active, and then says what is
# there: WINDOWS.md, 7. Endpoints of every card count here; whose they are is the program's question.
param([string] $Ids, [int] $Seconds = 120)
$ErrorActionPreference = 'SilentlyContinue'
$prefixes = $Ids.Split(' ')
$watch = [Diagnostics.Stopwatch]::StartNew()

function Test-Ours([string] $id) {
    foreach ($prefix in $prefixes) {
        if ($id.StartsWith($prefix, [StringComparison]::OrdinalIgnoreCase)) { return $true }
    }
    return $false
}

while ($true) {
    $lines = @()
    $well = $true
    foreach ($name in 'AudioEndpointBuilder', 'Audiosrv') {
        # A service that is not there has no state.
        if ((Get-Service -Name $name).Status -ne 'Running') { Start-Service -Name $name }
        $state = (Get-Service -Name $name).Status
        if (-not $state) { $state = 'Missing' }
        if ($state -ne 'Running') { $well = $false }
        $lines += "service $name $state"
    }
    $cards = @(Get-PnpDevice -PresentOnly | Where-Object { Test-Ours $_.InstanceId })
    if ($cards.Count -eq 0) { $well = $false }
    foreach ($card in $cards) {
        $code = [int] (Get-PnpDeviceProperty -InstanceId $card.InstanceId -KeyName 'DEVPKEY_Device_ProblemCode').Data
        if ($code -ne 0) { $well = $false }
        $lines += "card $code $($card.InstanceId)"
    }
    $endpoints = @(Get-PnpDevice -PresentOnly -Class AudioEndpoint -Status OK)
    if ($endpoints.Count -eq 0) { $well = $false }
    foreach ($endpoint in $endpoints) { $lines += "endpoint $($endpoint.InstanceId)" }
    if ($well -or $watch.Elapsed.TotalSeconds -ge $Seconds) { break }
    Start-Sleep -Seconds 2
}
$lines
