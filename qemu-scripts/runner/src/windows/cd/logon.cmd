@echo off
rem Installs the driver and makes the account quiet, at the first logon, elevated; then turns Windows off.
rem Runs from C:\ringwave, so that it is there after a restart, whatever letter the CD has then.
setlocal EnableExtensions
set "home=%SystemDrive%\ringwave"
if /i "%~dp0"=="%home%\" goto home
xcopy "%~dp0*" "%home%\" /e /i /q /r /y >nul
if errorlevel 1 goto no_copy
attrib -r "%home%\*" /s >nul
call "%home%\logon.cmd"
exit /b

:home
cd /d "%home%"
call stage.cmd logon
call settings.cmd

rem What Windows was started with, and not what bcdedit says of the next start.
if not "%TESTSIGNING%"=="on" goto signing_done
reg query "HKLM\SYSTEM\CurrentControlSet\Control" /v SystemStartOptions 2>nul | find /i "TESTSIGNING" >nul
if errorlevel 1 (
    call :restart "for test signing"
    exit /b
)
:signing_done

call stage.cmd driver
if not "%DRIVER%"=="yes" goto driver_done
cmd /c driver\install.cmd %INSTALL_OPTIONS% >install.log 2>&1
set "code=%errorlevel%"
cd /d "%home%"
call :send install.log "%home%\install.log"
if "%code%"=="5" (
    call :restart "for the driver"
    exit /b
)
if "%code%"=="0" goto driver_done
if "%code%"=="4" (
    >COM1 echo RINGWAVE note this machine has no card; the driver is in the driver store
    goto driver_done
)
call :send setupapi.dev.log "%windir%\inf\setupapi.dev.log"
call :problem %code% "install.cmd failed; its output is in serial.log"
exit /b
:driver_done

call stage.cmd settings
rem No sleep, no dark screen.
powercfg -h off >nul 2>&1
powercfg -x -standby-timeout-ac 0 >nul 2>&1
powercfg -x -monitor-timeout-ac 0 >nul 2>&1
rem The microphone for this account, no quieter sound beside a call, no system sounds.
set "consent=HKCU\SOFTWARE\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\microphone"
reg add "%consent%" /v Value /t REG_SZ /d Allow /f >nul
reg add "%consent%\NonPackaged" /v Value /t REG_SZ /d Allow /f >nul
reg add "HKCU\Software\Microsoft\Multimedia\Audio" /v UserDuckingPreference /t REG_DWORD /d 3 /f >nul
for /f "delims=" %%k in ('reg query "HKCU\AppEvents\Schemes\Apps" /s /k /f .Current 2^>nul ^| find ".Current"') do reg add "%%k" /ve /t REG_SZ /d "" /f >nul
rem The console stays logged on: sound belongs to it. Setup's own automatic logon counts down.
set "winlogon=HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon"
reg add "%winlogon%" /v AutoAdminLogon /t REG_SZ /d 1 /f >nul
reg add "%winlogon%" /v DefaultUserName /t REG_SZ /d "%ACCOUNT%" /f >nul
reg add "%winlogon%" /v DefaultPassword /t REG_SZ /d "%PASSWORD%" /f >nul
reg delete "%winlogon%" /v AutoLogonCount /f >nul 2>&1
rem After 42 days Windows would ask for a new password, and an image is used for longer.
net accounts /maxpwage:unlimited >nul 2>&1
reg add "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run" /v Ringwave /t REG_SZ /d "cmd.exe /c %home%\start.cmd" /f >nul

for %%s in (AudioEndpointBuilder Audiosrv) do (
    sc start %%s >nul 2>&1
    sc query %%s | find "RUNNING" >nul
    if errorlevel 1 (
        call :problem 1 "the service %%s does not run; there is no sound without it"
        exit /b
    )
)
>COM1 echo RINGWAVE done 0
shutdown /s /t 0
exit /b

:no_copy
>COM1 echo RINGWAVE problem 1 the files of the answer CD could not be copied to %home%
>COM1 echo RINGWAVE done 1
exit /b

rem Sends the end of a file. $1 name $2 path
:send
>COM1 echo RINGWAVE log %~1
powershell -NoProfile -Command "Get-Content -Tail 60 -LiteralPath '%~2'" >COM1
>COM1 echo.
>COM1 echo RINGWAVE end %~1
exit /b

rem $1 exit code $2 what failed
:problem
>COM1 echo RINGWAVE problem %~1 %~2
>COM1 echo RINGWAVE done %~1
exit /b

rem Runs this file again after a restart; twice, and not for ever. $1 why
:restart
if exist restarted-twice (
    call :problem 1 "two restarts did not help: %~1"
    exit /b
)
if exist restarted (type nul >restarted-twice) else (type nul >restarted)
reg add "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\RunOnce" /v Ringwave /t REG_SZ /d "cmd.exe /c %home%\logon.cmd" /f >nul
>COM1 echo RINGWAVE reboot %~1
shutdown /r /t 0
exit /b
